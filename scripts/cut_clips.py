"""Opens the command `pipeline.commands.videos.cut_clips`."""

import sys

from pipeline.cli.command import run
from pipeline.commands.videos.cut_clips import main, parser

if __name__ == "__main__":
    sys.exit(run(main, parser=parser))
