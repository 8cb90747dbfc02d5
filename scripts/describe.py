"""Opens the command `pipeline.commands.extraction.describe`."""

import sys

from pipeline.commands import main

if __name__ == "__main__":
    sys.exit(main("describe"))
