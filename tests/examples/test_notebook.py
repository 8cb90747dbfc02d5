"""The notebook runs from top to bottom on small synthetic recordings, and imports nothing but the public API."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

import pipeline
from pipeline.videos.synthetic import draw_recordings

NOTEBOOK = Path(__file__).parents[2] / "examples" / "train_in_a_notebook.ipynb"
CELLS = ["".join(cell["source"]) for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]


@pytest.mark.slow
def test_every_cell_runs(tmp_path, monkeypatch, capsys):
    (tmp_path / "examples").mkdir()  # where Jupyter is, paths are still those of the project
    draw_recordings(tmp_path / "data", classes=("Ball", "Lamps", "Rain"), recordings=5, seconds=(1.0, 1.2))
    monkeypatch.chdir(tmp_path / "examples")
    names: dict = {}
    for source in CELLS:
        # InceptionV3 would take minutes, and its weights a download.
        small = 'pipeline.extract(VIDEOS, STORE, backbone="tiny", weights="random")'
        source = source.replace("pipeline.extract(VIDEOS, STORE)", small)
        exec(compile(source, NOTEBOOK.name, "exec"), names)
    assert (tmp_path / "checkpoints/notebook/model.keras").exists()
    assert names["predictions"].probabilities.shape == (len(names["run"].split.test), 3)
    assert names["prediction"].segments
    assert pipeline.Classifier.load(names["own"].folder).classify(names["data"].videos[0].path).segments
    assert not list((tmp_path / "examples").iterdir())
    assert "precision" in capsys.readouterr().out


def test_it_needs_nothing_but_the_public_api():
    tree = ast.parse("\n".join(CELLS))
    imports = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert imports == ["from pathlib import Path", "import pipeline", "import keras"]
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "pipeline"
    }
    assert used <= set(pipeline.__all__)
