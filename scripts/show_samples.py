"""Opens the command `pipeline.commands.training.show_samples`."""

import sys

from pipeline.cli.command import run
from pipeline.commands.training.show_samples import main, parser

if __name__ == "__main__":
    sys.exit(run(main, parser=parser))
