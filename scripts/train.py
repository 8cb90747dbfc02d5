"""Opens the command `pipeline.commands.training.train`."""

import sys

from pipeline.cli.command import run
from pipeline.commands.training.train import main, parser

if __name__ == "__main__":
    sys.exit(run(main, parser=parser))
