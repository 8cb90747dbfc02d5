"""Opens the command `pipeline.commands.videos.extract_frames`."""

import sys

from pipeline.cli.command import run
from pipeline.commands.videos.extract_frames import main, parser

if __name__ == "__main__":
    sys.exit(run(main, parser=parser))
