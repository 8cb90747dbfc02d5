"""The public API: a dozen names, each imported when it is first used."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import pipeline
from pipeline.extraction.jobs.spec import ExtractionSpec
from pipeline.videos.synthetic import draw_recordings

HEAVY = ("keras", "tensorflow", "numpy", "cv2", "av", "pandas", "h5py", "sklearn", "matplotlib")
ROOMS = [path for path in sorted(Path("pipeline").rglob("__init__.py")) if "lazy_names" in path.read_text()]


def test_importing_it_is_quick_and_light():
    code = (
        "import sys, time; began = time.process_time(); import pipeline; took = time.process_time() - began\n"
        f"print(took, *[name for name in {HEAVY!r} if name in sys.modules])"
    )
    runs = [subprocess.check_output([sys.executable, "-c", code], text=True).split() for _ in range(3)]
    assert all(len(words) == 1 for words in runs), runs  # nothing heavy came with it
    assert min(float(words[0]) for words in runs) < 0.05


def test_every_name_is_there():
    for name in pipeline.__all__:
        assert getattr(pipeline, name) is not None
    assert set(dir(pipeline)) == set(pipeline.__all__) - {"__version__"}
    with pytest.raises(AttributeError, match="no 'trian'; it has Checkpoint"):
        _ = pipeline.trian


@pytest.mark.parametrize("path", ROOMS, ids=lambda path: path.parent.name)
def test_what_type_checkers_see_is_what_is_imported(path):
    """`TYPE_CHECKING` and `lazy_names` say the same twice; only a test can keep them together."""
    tree = ast.parse(path.read_text())
    package = ".".join(path.parent.parts)
    seen = {
        (node.module, alias.name)
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    call = next(
        node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "lazy_names"
    )
    homes = ast.literal_eval(call.args[1])
    lazy = {(f"{package}.{module}", name) for module, names in homes.items() for name in names}
    assert seen | {("pipeline.errors", "UserError"), ("pipeline.errors", "VideoError")} >= lazy >= seen


def test_from_videos_to_an_evaluated_checkpoint(tmp_path):
    videos = tmp_path / "videos"
    draw_recordings(videos, classes=("Ball", "Lamps"), recordings=6, seconds=(1.0, 1.2))
    spec = ExtractionSpec(workers=1)
    for _ in range(2):  # the second call finds all that the first one made
        store = pipeline.extract(videos, tmp_path / "store", backbone="tiny", weights="random", sampling="uniform:4")
    assert len(store.entries) == 12
    with pytest.raises(pipeline.UserError, match="another recipe"):
        pipeline.extract(videos, tmp_path / "store", backbone="tiny", weights="random", spec=spec)

    run = pipeline.train(pipeline.open_dataset(store.folder), spec=pipeline.TrainSpec(epochs=2, members=2))
    assert run.report().startswith(" ")
    checkpoint = pipeline.save_run(run, tmp_path / "checkpoint")
    predictions = pipeline.evaluate(checkpoint.folder, store.folder, split="test")
    assert predictions.probabilities.shape == (len(run.split.test), 2)
