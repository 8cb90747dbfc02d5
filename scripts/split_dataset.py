"""Opens the command `pipeline.commands.videos.split_dataset`."""

import sys

from pipeline.cli.command import run
from pipeline.commands.videos.split_dataset import main, parser

if __name__ == "__main__":
    sys.exit(run(main, parser=parser))
