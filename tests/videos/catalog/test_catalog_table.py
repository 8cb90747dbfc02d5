"""Tables of videos keep what people wrote into them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.videos.catalog.catalog import Video, open_catalog, read_catalog
from pipeline.videos.catalog.catalog_table import FACTS, update_catalog

HEADER = "split,label,path,video,group,frames,fps,width,height,duration"


def lay(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_labels_splits_and_columns_of_the_user_stay(tmp_path):
    lay(tmp_path, "Ball/1.mp4", "Ball/2.mp4", "Box/3.mp4")
    table = tmp_path / "data_file.csv"
    table.write_text("path,label,split,Notes\nBox/gone.mp4,Box,val,lost\nBall/1.mp4,Corrected,test,look again\n")
    counted = [replace(video, frames=9, fps=25.0) for video in open_catalog(tmp_path, use_table=False)]
    changes = update_catalog(counted, table)
    assert table.read_text().splitlines() == [
        "path,label,split,notes,video,group,frames,fps,width,height,duration",
        "Box/gone.mp4,Box,val,lost,,,,,,,",
        "Ball/1.mp4,Corrected,test,look again,,,9,25,,,",
        "Ball/2.mp4,Ball,,,Ball/2.mp4,,9,25,,,",
        "Box/3.mp4,Box,,,Box/3.mp4,,9,25,,,",
    ]
    assert (changes.added, changes.gone) == (2, ("Box/gone.mp4",))
    assert changes.lines(table, "data") == [f"1 video of {table} is not in data; it stays"]
    before = table.stat().st_mtime_ns
    update_catalog(counted, table)
    assert table.stat().st_mtime_ns == before  # nothing to write


def test_what_is_to_be_replaced_is_counted_and_never_emptied(tmp_path):
    lay(tmp_path, "Ball/1.mp4", "Ball/2.mp4")
    table = tmp_path / "catalog.csv"
    videos = [Video(f"Ball/{n}.mp4", tmp_path / f"Ball/{n}.mp4", "Ball", "train", "g1", 9) for n in (1, 2)]
    update_catalog(videos, table)
    assert table.read_text().splitlines()[0] == HEADER
    new = [replace(videos[0], label="Box", split="", group="", frames=None), replace(videos[1], split="val")]
    changes = update_catalog(new, table, (*FACTS, "label", "split", "group"))
    assert changes.changed == {"label": 1, "split": 1, "group": 0}
    assert changes.lines(table, "x") == [f"{table}: 1 label, 1 split changed"]
    rows = read_catalog(table).videos
    assert [(row.label, row.split, row.group, row.frames) for row in rows] == [
        ("Box", "train", "g1", 9),
        ("Ball", "val", "g1", 9),
    ]


def test_published_column_names_are_kept(tmp_path):
    lay(tmp_path, "train/v1.avi")
    table = tmp_path / "data_file.csv"
    table.write_text("video_name,tag\nv1,Ball\n")
    (tmp_path / "train" / "Ball").mkdir()
    (tmp_path / "train" / "v1.avi").rename(tmp_path / "train" / "Ball" / "v1.avi")
    update_catalog([replace(video, split="train") for video in read_catalog(table)], table, ("split",))
    assert table.read_text().splitlines()[0].startswith("video_name,tag,split")
    assert len(table.read_text().splitlines()) == 2


def test_moved_files_keep_their_rows(tmp_path):
    lay(tmp_path, "Ball/1.mp4")
    table = tmp_path / "data_file.csv"
    table.write_text("path,label,notes\nBall/1.mp4,Ball,mine\n")
    before = open_catalog(tmp_path).videos
    lay(tmp_path, "train/Ball/1.mp4")
    (tmp_path / "Ball/1.mp4").unlink()
    moved = [replace(before[0], path=tmp_path / "train/Ball/1.mp4", name="train/Ball/1.mp4", split="train")]
    update_catalog(moved, table, ("split",), renamed={"train/Ball/1.mp4": "Ball/1.mp4"})
    assert table.read_text().splitlines()[1].startswith("train/Ball/1.mp4,Ball,mine,train,train/Ball/1.mp4")


def test_a_foreign_file_is_not_replaced(tmp_path):
    (tmp_path / "data_file.csv").write_text("name,price\nbread,3\n")
    with pytest.raises(UserError, match="is not replaced"):
        update_catalog([Video("1.mp4", tmp_path / "1.mp4")], tmp_path / "data_file.csv")
    assert (tmp_path / "data_file.csv").read_text() == "name,price\nbread,3\n"


def test_the_table_in_a_data_folder_counts(tmp_path):
    lay(tmp_path, "Ball/1.mp4", "Ball/2.mp4", "problems.csv")
    lay(tmp_path.parent / f"{tmp_path.name}-far", "9.mp4")
    far = tmp_path.parent / f"{tmp_path.name}-far" / "9.mp4"
    (tmp_path / "data_file.csv").write_text(
        f"path,label,split\nBall/1.mp4,Corrected,test\n{far},Far,train\nBall/gone.mp4,Ball,train\n"
    )
    catalog = open_catalog(tmp_path)
    assert {video.path.name: (video.label, video.split) for video in catalog} == {
        "1.mp4": ("Corrected", "test"),
        "2.mp4": ("Ball", ""),
        "9.mp4": ("Far", "train"),
    }
    assert catalog.table == tmp_path / "data_file.csv"
    assert catalog.skipped == {"of data_file.csv that are not there": 1}
    assert catalog.summary().endswith("labels and splits of data_file.csv")
    assert {video.label for video in open_catalog(tmp_path, use_table=False)} == {"Ball"}
