"""Opens the command `pipeline.commands.videos.cut_clips`."""

import sys

from pipeline.commands import main

if __name__ == "__main__":
    sys.exit(main("cut"))
