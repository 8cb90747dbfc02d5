"""Opens the command `pipeline.commands.published.report_grid`."""

import sys

from pipeline.cli.command import run
from pipeline.commands.published.report_grid import main, parser

if __name__ == "__main__":
    sys.exit(run(main, parser=parser))
