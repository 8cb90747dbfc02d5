"""Opens the command `pipeline.commands.published.report_grid`."""

import sys

from pipeline.commands import main

if __name__ == "__main__":
    sys.exit(main("report-grid"))
