"""Opens the command `pipeline.commands.training.compare_runs`."""

import sys

from pipeline.commands import main

if __name__ == "__main__":
    sys.exit(main("compare"))
