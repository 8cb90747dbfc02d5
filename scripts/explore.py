"""Opens the command `pipeline.commands.videos.explore`."""

import sys

from pipeline.commands import main

if __name__ == "__main__":
    sys.exit(main("explore"))
