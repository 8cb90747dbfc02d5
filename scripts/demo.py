"""Opens the command `pipeline.commands.published.demo`."""

import sys

from pipeline.cli.command import run
from pipeline.commands.published.demo import main, parser

if __name__ == "__main__":
    sys.exit(run(main, parser=parser))
