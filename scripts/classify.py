"""Opens the command `pipeline.commands.inference.classify`."""

import sys

from pipeline.cli.command import run
from pipeline.commands.inference.classify import main, parser

if __name__ == "__main__":
    sys.exit(run(main, parser=parser))
