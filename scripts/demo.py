"""Opens the command `pipeline.commands.published.demo`."""

import sys

from pipeline.cli.command import run
from pipeline.commands.published.demo import main

if __name__ == "__main__":
    sys.exit(run(main))
