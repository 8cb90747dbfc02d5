"""Opens the command `pipeline.commands.training.compare_runs`."""

import sys

from pipeline.cli.command import run
from pipeline.commands.training.compare_runs import main, parser

if __name__ == "__main__":
    sys.exit(run(main, parser=parser))
