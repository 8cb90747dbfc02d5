"""What a user keeps in an output folder survives whatever replaces the rest."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.files.replacing import (
    foreign_entries,
    free_name,
    refuse_existing,
    refuse_overlap,
    remove_written,
    replace_folder,
)

OURS = ("model.keras", "int8/network.bin")


def lay(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"old {name}")
    return folder


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


def test_a_replaced_folder_hands_on_what_is_not_ours(tmp_path):
    folder = lay(tmp_path / "run", "model.keras", "notes.txt", "int8/network.bin", "int8/mine.bin", "deep/er/a.csv")
    with replace_folder(folder, OURS) as new:
        (new / "model.keras").write_text("new")
    assert names(folder) == ["deep/er/a.csv", "int8/mine.bin", "model.keras", "notes.txt"]
    assert (folder / "model.keras").read_text() == "new"
    assert (folder / "notes.txt").read_text() == "old notes.txt"
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_failure_changes_nothing(tmp_path):
    folder = lay(tmp_path / "run", "model.keras", "notes.txt")
    with pytest.raises(FileNotFoundError), replace_folder(folder, OURS) as new:
        (new / "model.keras").write_bytes((tmp_path / "nothing").read_bytes())
    assert names(folder) == ["model.keras", "notes.txt"]
    assert (folder / "model.keras").read_text() == "old model.keras"
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("stage", ["between the renames", "before the rest is carried over"])
def test_what_a_kill_left_is_finished_by_the_next_run(tmp_path, stage):
    old = lay(tmp_path / ".replaced-run", "model.keras", "notes.txt")
    if stage.startswith("before"):
        lay(tmp_path / "run", "model.keras")
    with replace_folder(tmp_path / "run", OURS) as new:
        (new / "model.keras").write_text("new")
    assert not old.exists()
    assert names(tmp_path / "run") == ["model.keras", "notes.txt"]
    assert (tmp_path / "run" / "model.keras").read_text() == "new"


def test_only_named_files_are_removed(tmp_path):
    lay(tmp_path, "model.keras", "notes.txt", "int8/network.bin", "int8/mine.bin", "model.keras.bak/x")
    remove_written(tmp_path, OURS)
    assert names(tmp_path) == ["int8/mine.bin", "model.keras.bak/x", "notes.txt"]
    assert [path.name for path in foreign_entries(tmp_path, OURS)] == ["int8", "model.keras.bak", "notes.txt"]


def test_files_that_are_there_are_refused_or_get_out_of_the_way(tmp_path):
    lay(tmp_path, "result.avi", "result-2.avi")
    os.symlink(tmp_path / "nowhere", tmp_path / "link.avi")
    for name in ("result.avi", "link.avi"):
        with pytest.raises(UserError, match="overwrite=True"):
            refuse_existing(tmp_path / name, overwrite=False)
        refuse_existing(tmp_path / name, overwrite=True)
    with pytest.raises(UserError, match="is a folder"):
        refuse_existing(tmp_path, overwrite=True)
    assert free_name(tmp_path / "result.avi").name == "result-3.avi"
    assert free_name(tmp_path / "new.avi").name == "new.avi"


def test_an_output_is_apart_from_its_inputs(tmp_path):
    lay(tmp_path, "videos/Ball/1.mp4", "list.csv")
    for out, inside in {
        ".": "holds",
        "videos": "itself",
        "videos/out": "inside",
        "videos/Ball/../../videos": "itself",
    }.items():
        with pytest.raises(UserError, match=inside):
            refuse_overlap(tmp_path / out, [tmp_path / "videos"])
    (tmp_path / "link").symlink_to(tmp_path / "videos")
    with pytest.raises(UserError, match="itself"):
        refuse_overlap(tmp_path / "link", [tmp_path / "videos"])
    refuse_overlap(tmp_path / "videos-out", [tmp_path / "videos"])
    refuse_overlap(tmp_path / "out", [tmp_path / "list.csv"])
