"""list_videos.py as a user calls it: classes, lengths, and the published form of the table."""

from __future__ import annotations

import pytest

from pipeline.cli import command
from pipeline.commands.extraction import extract_features
from pipeline.commands.videos import extract_frames, list_videos
from pipeline.extraction.store.store import FeatureStore
from tests.media import write_video


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    for name, frames in (("train/Ads/a", 12), ("train/Match/a", 8), ("test/Match/b", 9), ("test/News/c", 12)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_video(folder / f"{name}.mp4", frames=frames)
    return folder


def call(capsys, module, *argv) -> tuple[int, str, str]:
    status = command.run(module.main, [str(argument) for argument in argv], parser=module.parser)
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_the_published_table_is_written_and_taken(capsys, data, tmp_path):
    table = data / "data_file.csv"
    status, out, err = call(
        capsys,
        list_videos,
        data,
        "--out",
        table,
        "--format",
        "apriorit",
        "--class-limit",
        2,
        "--min-frames",
        9,
        "--workers",
        1,
    )
    assert (status, err) == (0, "")
    assert table.read_text() == "test,Match,b,9\ntrain,Ads,a,12\n"
    assert "1 video of fewer than 9 frames left out" in out
    recipe = ["--backbone", "tiny", "--weights", "random", "--sampling", "stepped:9", "--workers", 1]
    status, _, err = call(capsys, extract_features, table, "--out", tmp_path / "features", *recipe)
    assert (status, err) == (0, "")
    store = FeatureStore(tmp_path / "features")
    assert {name: entry.steps for name, entry in store.entries.items()} == {"test/Match/b.mp4": 9, "train/Ads/a.mp4": 9}
    assert store.read("train/Ads/a.mp4").frames.tolist() == list(range(9))
    status, _, err = call(capsys, list_videos, data, "--out", table, "--format", "apriorit")
    assert status == 2
    assert "--overwrite" in err
    table.unlink()


def test_a_video_shorter_than_the_steps_is_left_out_and_listed(capsys, data, tmp_path):
    recipe = ["--backbone", "tiny", "--weights", "random", "--sampling", "stepped:9", "--workers", 1]
    status, _, err = call(capsys, extract_features, data, "--out", tmp_path / "features", *recipe)
    assert status == 1
    assert "failed: train/Match/a.mp4: sample: 8 frames, fewer than stepped:9 needs" in err
    assert "train/Match/a.mp4" not in FeatureStore(tmp_path / "features").entries


def test_classes_by_name(capsys, data, tmp_path):
    status, out, err = call(capsys, list_videos, data, "--classes", "News, Ads", "--out", tmp_path / "t.csv")
    assert (status, err) == (0, "")
    assert "2 videos, 2 classes" in out
    assert call(capsys, extract_frames, data, "--classes", "News", "--out", tmp_path / "images")[0] == 0
    assert [path.name for path in (tmp_path / "images").rglob("frames.csv")] == ["frames.csv"]
    status, _, err = call(capsys, list_videos, data, "--classes", "Nwes", "--out", tmp_path / "u.csv")
    assert status == 2
    assert f"--classes: there is no video of 'Nwes' in {data}, only Ads, Match, News" in err
    status, _, err = call(capsys, list_videos, data, "--classes", ",", "--out", tmp_path / "u.csv")
    assert (status, err.count("\n")) == (2, 1)


def test_the_published_table_lies_where_its_names_are_looked_for(capsys, data, tmp_path):
    status, _, err = call(capsys, list_videos, data, "--format", "apriorit", "--out", tmp_path / "table.csv")
    assert status == 2
    assert "write it with --out into the folder" in err
