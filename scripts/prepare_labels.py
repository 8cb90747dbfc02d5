"""Opens the command `pipeline.commands.videos.prepare_labels`."""

import sys

from pipeline.commands import main

if __name__ == "__main__":
    sys.exit(main("prepare-labels"))
