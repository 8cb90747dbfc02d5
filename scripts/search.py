"""Opens the command `pipeline.commands.training.search`."""

import sys

from pipeline.cli.command import run
from pipeline.commands.training.search import main, parser

if __name__ == "__main__":
    sys.exit(run(main, parser=parser))
