"""Opens the command `pipeline.commands.extraction.import_features`."""

import sys

from pipeline.commands import main

if __name__ == "__main__":
    sys.exit(main("import-features"))
