"""Opens the command `pipeline.commands.videos.extract_frames`."""

import sys

from pipeline.commands import main

if __name__ == "__main__":
    sys.exit(main("frames"))
