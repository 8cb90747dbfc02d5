"""The data of the published systems' figures: each folder is one that its system takes."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from benchmarks import published_data
from pipeline.cli import command
from pipeline.commands import VERBS
from pipeline.published.system import find_system, read_system
from pipeline.videos.catalog.catalog import open_catalog
from pipeline.videos.labels.frame_labels import label_data

ACTIONS = Path(__file__).parents[1].parent / "shared" / "videos" / "actions"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not ACTIONS.exists(), reason="needs ../shared"),
]


@pytest.mark.parametrize("name", published_data.SYSTEMS)
def test_the_data_is_what_the_system_takes(name, tmp_path):
    out = tmp_path / "data"
    assert command.run(published_data.main, [name, str(ACTIONS), "--out", str(out)]) == 0
    read_system(find_system(name), VERBS).check_data(out)
    data = out / "images" if name == "rolling-average" else out
    catalog = open_catalog(data)
    if name == "apriorit":
        assert {(video.split, video.label) for video in catalog} == {
            (split, label) for split in ("train", "test") for label in ("bend", "jack")
        }
        assert len(catalog) == 18
    elif name == "keras-example":
        with open(out / "test.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == 12
        assert all((out / "test" / row["video_name"]).is_file() and "mirrored" not in row["video_name"] for row in rows)
    elif name == "ecology-grid":
        labels = label_data(catalog, out / "labels.csv", background="", workers=1, timeout=60)
        assert len(labels.labels) == 9 * 32
    else:
        assert catalog.classes == (
            ["bend", "jack", "wave2"] if "average" in name else ["bend", "jack", "wave1", "wave2"]
        )
    assert command.run(published_data.main, [name, str(ACTIONS), "--out", str(out)]) == 2
