"""Opens the command `pipeline.commands.videos.prepare_labels`."""

import sys

from pipeline.cli.command import run
from pipeline.commands.videos.prepare_labels import main, parser

if __name__ == "__main__":
    sys.exit(run(main, parser=parser))
