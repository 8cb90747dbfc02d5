"""Opens the command `pipeline.commands.extraction.export_features`."""

import sys

from pipeline.cli.command import run
from pipeline.commands.extraction.export_features import main, parser

if __name__ == "__main__":
    sys.exit(run(main, parser=parser))
