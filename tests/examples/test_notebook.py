"""The notebook runs from top to bottom on a drawn store."""

from __future__ import annotations

import json
from pathlib import Path

from tests.training.stores import write_store

NOTEBOOK = Path(__file__).parents[2] / "examples" / "train_in_a_notebook.ipynb"


def test_every_cell_runs(tmp_path, capsys):
    store = write_store(tmp_path / "store")
    names: dict = {}
    for cell in json.loads(NOTEBOOK.read_text())["cells"]:
        if cell["cell_type"] == "code":
            source = "".join(cell["source"])
            source = source.replace('"features/match"', repr(str(store)))
            source = source.replace('"checkpoints/notebook"', repr(str(tmp_path / "checkpoint")))
            exec(compile(source, NOTEBOOK.name, "exec"), names)
    assert (tmp_path / "checkpoint" / "model.keras").exists()
    assert names["probabilities"].shape == (len(names["split"].test), 3)
    assert "precision" in capsys.readouterr().out
