"""Opens the command `pipeline.commands.training.show_samples`."""

import sys

from pipeline.commands import main

if __name__ == "__main__":
    sys.exit(main("samples"))
