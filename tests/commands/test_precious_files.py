"""No command deletes or replaces what it did not write: each is called on places that hold files of their user."""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.cli import command
from pipeline.commands import load
from tests.inference.conftest import checkpoint, clips, store  # noqa: F401 - fixtures
from tests.media import write_video

TINY = ("--backbone", "tiny", "--weights", "random", "--sampling", "uniform:4")
QUICK = ("--head", "mlp", "--members", 1, "--units", 4, "--epochs", 1)


def run(verb: str, *arguments: object) -> int:
    opened = load(verb)
    return command.run(opened.main, [str(argument) for argument in arguments], parser=opened.parser)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for number in range(2):
        for label in ("left", "right"):
            write_video(tmp_path / f"data/{label}/clip{number}.mp4", frames=9, first=100 * number + 7 * len(label))
    return tmp_path / "data"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def rows_of(table: Path) -> list[dict[str, str]]:
    with table.open(newline="") as file:
        return list(csv.DictReader(file))


def assert_kept(before: dict[str, bytes], folder: Path) -> None:
    after = contents(folder)
    assert {name: after.get(name) for name in before} == before


@pytest.mark.parametrize("place", ["data", "data/left", ".", "data/new", "checkpoint", "full"])
@pytest.mark.parametrize("more", [(), ("--overwrite",)])
def test_a_store_is_made_in_a_place_of_its_own(data, tmp_path, place, more, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("checkpoint/checkpoint.json", "full/thesis.tex", "full/recipe.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("precious")
    before = contents(tmp_path)
    assert run("extract", "data", "--out", place, *TINY, *more) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert contents(tmp_path) == before


def test_overwrite_removes_what_the_store_wrote_and_nothing_else(data, tmp_path):
    out = tmp_path / "store"
    assert run("extract", data, "--out", out, *TINY) == 0
    old = set(contents(out))
    mine = ("notes.txt", "shards/of-mine.h5", "failures-old.csv", "shard-of-mine.txt")
    for name in mine:
        (out / name).parent.mkdir(exist_ok=True)
        (out / name).write_text("precious")
    before = {name: contents(out)[name] for name in mine}
    assert run("extract", data, "--out", out, *TINY, "--crop", "none", "--overwrite") == 0
    assert_kept(before, out)
    shards = {name for name in contents(out) if name.startswith("shard-0")}
    assert shards
    assert not shards & old


@pytest.mark.slow
def test_a_checkpoint_is_replaced_and_notes_in_it_stay(checkpoint, store, tmp_path):  # noqa: F811
    out = tmp_path / "run"
    assert run("train", store, "--out", out, *QUICK) == 0
    (out / "notes.txt").write_text("precious")
    (out / "deep").mkdir()
    (out / "deep" / "figure.png").write_bytes(b"precious")
    assert run("train", store, "--out", out, *QUICK) == 2
    assert run("train", store, "--out", out, *QUICK, "--overwrite") == 0
    assert (out / "notes.txt").read_text() == (out / "deep" / "figure.png").read_text() == "precious"
    for place in (store, tmp_path):  # neither a store nor a folder of other things becomes a checkpoint
        before = contents(tmp_path) | {f"store/{name}": data for name, data in contents(store).items()}
        assert run("train", store, "--out", place, *QUICK, "--overwrite") == 2
        assert contents(tmp_path) | {f"store/{name}": data for name, data in contents(store).items()} == before
    assert run("evaluate", out, store, "--split", "all", "--out", out, "--overwrite") == 2
    assert run("evaluate", out, store, "--split", "all", "--out", tmp_path / "figures") == 0
    assert run("evaluate", out, store, "--split", "all", "--out", tmp_path / "figures") == 2
    assert run("evaluate", out, store, "--split", "all", "--out", tmp_path / "figures", "--overwrite") == 0


Call = Callable[[Path, Path], tuple[object, ...]]
# Commands that write one file or table: what they are called with, given the data folder and the file.
WRITERS: dict[str, Call] = {
    "list": lambda data, out: ("list", data, "--out", out),
    "split": lambda data, out: ("split", data, "--out", out),
    "check": lambda data, out: ("check", data, "--out", out),
    "explore": lambda data, out: ("explore", data, "--out", out),
    "cut": lambda data, out: ("cut", data, "--every", 0.2, "--out", out.parent / "clips"),
    "frames": lambda data, out: ("frames", data, "--out", out.parent / "frames"),
    "convert-labels": lambda data, out: ("convert-labels", data.parent / "segments.csv", "--out", out),
}


@pytest.mark.parametrize("verb", WRITERS)
def test_a_file_of_somebody_else_is_not_replaced(data, tmp_path, verb, capsys):
    (tmp_path / "segments.csv").write_text("video,start,end,label\ndata/left/clip0.mp4,0,0.2,x\n")
    out = tmp_path / "mine" / "table.csv"
    for path in (out, out.parent / "clips" / "failures.csv", out.parent / "frames" / "failures.csv"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("precious,columns\nof,mine\n")
    before = contents(tmp_path)
    assert run(*WRITERS[verb](data, out)) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (("list", "data"), "2 classes; nothing was written; --out data/data_file.csv keeps the table"),
        (("check", "data"), "4 videos, 0 faults"),
        (("split", "data"), "nothing was written; --out data/data_file.csv keeps the splits"),
        (("classify", "{checkpoint}", "data/left/clip0.mp4"), "nothing was written, --output FILE.mp4 does"),
    ],
)
def test_nothing_is_written_unless_asked(data, checkpoint, call, said, capsys, monkeypatch):  # noqa: F811
    monkeypatch.chdir(data.parent)
    before = contents(data.parent)
    assert run(*(word.format(checkpoint=checkpoint) for word in call)) == 0
    assert said in capsys.readouterr().out
    assert contents(data.parent) == before


def test_classify_replaces_nothing_unasked(checkpoint, clips, tmp_path, monkeypatch, capsys):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    video = next((clips / "Blue").iterdir())
    (tmp_path / "result.avi").write_bytes(b"precious")
    before = contents(tmp_path)
    assert run("classify", checkpoint, video, "--output", "result.avi") == 2
    assert "result.avi exists; give --overwrite" in capsys.readouterr().err
    assert contents(tmp_path) == before
    assert run("classify", checkpoint, video, "--output", "result.avi", "--overwrite") == 0


def test_predictions_of_another_run_stay_until_asked(checkpoint, clips, tmp_path, capsys):  # noqa: F811
    out, table = tmp_path / "out", tmp_path / "out" / "predictions.csv"
    for name in ("Blue", "Red"):
        for path in sorted((clips / name).iterdir())[:2]:
            (tmp_path / name).mkdir(exist_ok=True)
            shutil.copy(path, tmp_path / name / f"{name}-{path.name}")
    assert run("classify", checkpoint, tmp_path / "Blue", "--output", out) == 0
    rows = rows_of(table)
    for row in rows:
        row["mine"] = "looked at"
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    # Another folder into the same table: rows are added, columns of the user stay.
    assert run("classify", checkpoint, tmp_path / "Red", "--output", out) == 0
    after = rows_of(table)
    assert {row["video"]: row["mine"] for row in after if row["mine"]} == {row["video"]: "looked at" for row in rows}
    assert len(after) > len(rows)
    before = table.read_bytes()
    assert run("classify", checkpoint, tmp_path / "Red", "--output", out, "--stride", 1) == 2
    assert "of another checkpoint or way of reading" in capsys.readouterr().err
    assert table.read_bytes() == before
    assert run("classify", checkpoint, tmp_path / "Red", "--output", out, "--stride", 1, "--overwrite") == 0


def test_the_catalog_of_a_store_keeps_rows_labels_and_splits(data, tmp_path, capsys):
    out = tmp_path / "store"
    table = data / "data_file.csv"
    assert run("split", data, "--shares", 0.5, 0.25, 0.25, "--out", table) == 0
    assert run("list", data, "--out", table) == 0
    rows = {row["path"]: row for row in rows_of(table)}
    assert all(row["split"] and row["frames"] == "9" for row in rows.values())
    assert run("extract", data, "--out", out, *TINY) == 0
    assert "labels and splits of data_file.csv" in capsys.readouterr().out
    stored = {row["video"]: row for row in rows_of(out / "catalog.csv")}
    assert {name: row["split"] for name, row in stored.items()} == {name: row["split"] for name, row in rows.items()}
    # One video, or the folder without its table, takes nothing away.
    assert run("extract", data / "left" / "clip0.mp4", "--out", out, *TINY) == 0
    assert "3 videos of" in capsys.readouterr().out
    os.rename(table, tmp_path / "corrected.csv")
    assert run("extract", data, "--out", out, *TINY) == 0
    again = {row["video"]: row for row in rows_of(out / "catalog.csv")}
    assert {name: again[name]["split"] for name in stored} == {name: row["split"] for name, row in stored.items()}
    # A corrected label in the table reaches the store, and nothing is extracted again.
    table.write_text((tmp_path / "corrected.csv").read_text().replace(",left,left/clip1", ",right,left/clip1"))
    capsys.readouterr()
    assert run("extract", data, "--out", out, *TINY) == 0
    said = capsys.readouterr().out
    assert "1 label changed" in said
    assert "0 videos extracted" in said
    assert {row["video"]: row["label"] for row in rows_of(out / "catalog.csv")}["left/clip1.mp4"] == "right"
