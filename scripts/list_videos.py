"""Opens the command `pipeline.commands.videos.list_videos`."""

import sys

from pipeline.commands import main

if __name__ == "__main__":
    sys.exit(main("list"))
