"""The catalog: folders and tables as people lay them out."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.videos.catalog.catalog import open_catalog, read_catalog, scan_folder
from pipeline.videos.catalog.catalog_table import write_catalog
from pipeline.videos.catalog.clip_origins import ClipOrigin, record_origins
from pipeline.videos.catalog.times import count_videos
from tests.media import write_video


def lay(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_classes_are_folders(tmp_path):
    catalog = open_catalog(
        lay(tmp_path, "Ball/2.mp4", "Ball/10.MP4", "Rain/deep/er/1.avi", "top.mkv", "Ball/notes.txt")
    )
    assert [(video.name, video.label, video.split) for video in catalog] == [
        ("Ball/2.mp4", "Ball", ""),
        ("Ball/10.MP4", "Ball", ""),
        ("Rain/deep/er/1.avi", "Rain", ""),
        ("top.mkv", "", ""),
    ]
    assert catalog.classes == ["Ball", "Rain"]
    assert catalog.skipped == {"not videos": 1}


def test_split_folders(tmp_path):
    lay(
        tmp_path,
        "train/Ball/1.mp4",
        "Validation/Ball/1.mp4",
        "test/Rain/1.mp4",
        "Ball/2.mp4",
        "train/.x.mp4",
        ".h/1.mp4",
    )
    catalog = scan_folder(tmp_path)
    assert [(video.name, video.label, video.split) for video in catalog] == [
        ("test/Rain/1.mp4", "Rain", "test"),
        ("train/Ball/1.mp4", "Ball", "train"),
        ("Validation/Ball/1.mp4", "Ball", "val"),
    ]
    assert catalog.skipped == {"outside the split folders": 1, "hidden": 2}
    assert "3 videos, 2 classes, train 1, val 1, test 1" in catalog.summary()


def test_a_deeper_folder_may_name_the_class(tmp_path):
    lay(tmp_path, "north/cam1/fox/1.mp4", "north/cam2/hare/2.mp4", "south/cam1/fox/deep/3.mp4", "north/cam1/4.mp4")
    for level, labels in ((1, ["north"] * 3 + ["south"]), (3, ["", "fox", "hare", "fox"])):
        videos = {video.name: video.label for video in open_catalog(tmp_path, class_level=level)}
        assert [videos[name] for name in sorted(videos)] == labels
    lay(tmp_path / "with", "train/cam/fox/1.mp4", "test/cam/hare/2.mp4")
    catalog = open_catalog(tmp_path / "with", class_level=2)
    assert [(video.label, video.split) for video in catalog] == [("hare", "test"), ("fox", "train")]
    # It counts more than a table that names the class by another folder.
    (tmp_path / "data_file.csv").write_text("path,label,split\nnorth/cam1/fox/1.mp4,north,val\n")
    video = next(video for video in open_catalog(tmp_path, class_level=3) if video.name == "north/cam1/fox/1.mp4")
    assert (video.label, video.split) == ("fox", "val")
    for level, said in ((9, "no video of .* lies 9 folders below it"), (0, "expected 1 or more")):
        with pytest.raises(UserError, match=said):
            open_catalog(tmp_path, class_level=level)
    with pytest.raises(UserError, match="is for a folder"):
        open_catalog(tmp_path / "data_file.csv", class_level=2)


@pytest.mark.parametrize("name", ["list.xlsx", "list.XLS", "list.ods"])
def test_a_spreadsheet_is_refused_as_a_table(tmp_path, name):
    (tmp_path / name).write_bytes(b"PK\x03\x04")
    for read in (open_catalog, read_catalog):
        with pytest.raises(UserError, match="is a spreadsheet; save it as CSV"):
            read(tmp_path / name)


def test_a_class_may_be_called_train(tmp_path):
    catalog = scan_folder(lay(tmp_path, "train/1.mp4", "ship/1.mp4"))
    assert [(video.label, video.split) for video in catalog] == [("ship", ""), ("train", "")]


def test_links_are_followed_once(tmp_path):
    lay(tmp_path, "data/Ball/1.mp4", "far/Rain/2.mp4")
    (tmp_path / "data" / "Rain").symlink_to(tmp_path / "far" / "Rain")
    (tmp_path / "data" / "Ball" / "loop").symlink_to(tmp_path / "data")
    catalog = scan_folder(tmp_path / "data")
    assert sorted(video.name for video in catalog) == ["Ball/1.mp4", "Rain/2.mp4"]
    assert catalog.skipped == {"linked a second time": 1}


def test_clips_of_one_recording_are_one_group(tmp_path):
    lay(tmp_path, "train/Ball/a.mp4", "train/Ball/b.mp4", "train/Rain/c.mp4", "train/Rain/d.mp4")
    for label, clip in (("Ball", "a.mp4"), ("Rain", "c.mp4")):
        record_origins(tmp_path / "train" / label, [ClipOrigin(clip, "/v.mp4", "v-1", "0", "1", "0", "25", "v-1", "s")])
    catalog = open_catalog(tmp_path)
    groups = {"train/Ball/a.mp4": "v-1", "train/Ball/b.mp4": "", "train/Rain/c.mp4": "v-1", "train/Rain/d.mp4": ""}
    assert {video.name: video.group for video in catalog} == groups
    assert not catalog.skipped
    # A table of the same files learns it too, and what it says itself comes first.
    (tmp_path / "list.csv").write_text("path,label,group\ntrain/Ball/a.mp4,Ball,\ntrain/Rain/c.mp4,Rain,mine\n")
    assert [video.group for video in read_catalog(tmp_path / "list.csv")] == ["v-1", "mine"]
    write_catalog(catalog.videos, tmp_path / "data_file.csv")
    assert {video.name: video.group for video in read_catalog(tmp_path / "data_file.csv")} == groups


def test_the_table_with_video_name_and_tag(tmp_path):
    lay(tmp_path, "train/v_Ball_g01_c01.avi", "Rain/1.mp4")
    (tmp_path / "train.csv").write_text("video_name,tag,split\nv_Ball_g01_c01.avi,Ball,train\n1,Rain,\n")
    videos = read_catalog(tmp_path / "train.csv").videos
    assert [video.path.relative_to(tmp_path).as_posix() for video in videos] == [
        "Rain/1.mp4",
        "train/v_Ball_g01_c01.avi",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,label\na,b\n", "no column 'path'"),
        ("path,label\n", "has no rows"),
        ("path,label\n,b\n", "line 2: the column 'path' is empty"),
        ("path,label,split\na.mp4,b,dev\n", "split 'dev' is unknown"),
        ("path,label\na.mp4,b\na.mp4,c\n", "listed twice with different entries"),
    ],
)
def test_wrong_tables_are_refused(tmp_path, text, message):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        read_catalog(tmp_path / "t.csv")


def test_nothing_there_is_one_line(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        open_catalog(tmp_path / "missing")
    with pytest.raises(UserError, match="it is empty"):
        open_catalog(tmp_path)
    with pytest.raises(UserError, match="1 left out: not videos"):
        open_catalog(lay(tmp_path, "a.txt"))


def test_counting_and_writing(tmp_path):
    write_video(tmp_path / "Ball" / "a.mp4", frames=30)
    write_video(tmp_path / "Ball" / "b.avi", "mpeg4_avi", frames=20, fps=10)
    lay(tmp_path, "Ball/c.mp4")
    for decode in (False, True):
        catalog = open_catalog(tmp_path)
        rows = list(count_videos(catalog.videos, decode=decode))
        counted = [video for video, error in rows if error is None]
        failed = [video.name for video, error in rows if error is not None]
        assert [(video.frames, video.fps, video.width) for video in counted] == [(30, 25, 192), (20, 10, 192)]
        assert failed == ["Ball/c.mp4"]
    write_catalog(counted, tmp_path / "data_file.csv")
    again = open_catalog(tmp_path / "data_file.csv")
    assert again.videos == tuple(counted)
    header = (tmp_path / "data_file.csv").read_text().splitlines()[0]
    assert header == "split,label,path,video,group,frames,fps,width,height,duration"


def test_a_catalog_is_a_frame_too(tmp_path):
    for name in ("a/2.mp4", "a/10.mp4", "b/1.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    frame = open_catalog(tmp_path).to_frame()
    assert list(frame["name"]) == ["a/2.mp4", "a/10.mp4", "b/1.mp4"]
    assert list(frame["label"]) == ["a", "a", "b"]
    assert list(frame.columns[:5]) == ["name", "path", "label", "split", "group"]
