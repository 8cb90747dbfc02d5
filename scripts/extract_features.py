"""Opens the command `pipeline.commands.extraction.extract_features`."""

import sys

from pipeline.commands import main

if __name__ == "__main__":
    sys.exit(main("extract"))
