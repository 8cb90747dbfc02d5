"""The house: which room may import which, no circles, and nothing too large to be surveyed.

An import counts wherever it is: at the top, inside of a function, or under ``TYPE_CHECKING``. A folder is its own
files, without those of the folders in it; ``__init__.py`` is not counted as a file.
"""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[1]
MOST_FILES, MOST_LINES = 10, 400
# python scripts/NAME.py is what the README promises, so all doors are in one folder; a benchmark is one file.
ANY_NUMBER = ("scripts", "benchmarks")

# What a line names may import from its own line to the left, and from the lines above. Names after "=" have no order.
ROOMS = """
errors
files parallel cli
videos
extraction
training
inference
published
commands
__main__
"""
VIDEOS = """
media
catalog
labels quality
clips preview
synthetic
"""
EXTRACTION = """
recipe
inputs network.engines
network
store
features
jobs
"""
TRAINING = """
data compute
heads
checkpoint
loop
evaluation
reports
experiments
"""
INFERENCE = """
timeline live
classifier stored_features apart pictures
drawing export
outputs
folder_run
"""
ORDERS = {
    "pipeline": ROOMS,
    "pipeline.videos": VIDEOS,
    "pipeline.extraction": EXTRACTION,
    "pipeline.training": TRAINING,
    "pipeline.inference": INFERENCE,
}
