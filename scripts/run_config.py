"""Opens the command `pipeline.commands.published.run_config`."""

import sys

from pipeline.cli.command import run
from pipeline.commands.published.run_config import main, parser

if __name__ == "__main__":
    sys.exit(run(main, parser=parser))
