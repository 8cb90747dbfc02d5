"""Opens the command `pipeline.commands.videos.list_videos`."""

import sys

from pipeline.cli.command import run
from pipeline.commands.videos.list_videos import main, parser

if __name__ == "__main__":
    sys.exit(run(main, parser=parser))
