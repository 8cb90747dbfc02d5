"""``python -m pipeline VERB ...``: the same as ``video-pipeline VERB ...``, where nothing is installed."""

import sys

from pipeline.commands import main

if __name__ == "__main__":
    sys.exit(main())
