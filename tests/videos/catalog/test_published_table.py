"""The table without a header of one published system is a catalog like others."""

from __future__ import annotations

import pytest

from pipeline.errors import UserError
from pipeline.videos.catalog.catalog import open_catalog, read_catalog
from pipeline.videos.catalog.published_table import read_rows, write_rows


@pytest.fixture
def clips(tmp_path):
    for name in ("train/Ads/a.1.avi", "train/Match/a.1.mp4", "test/Match/b.mkv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


ROWS = [("train", "Ads", "a.1", 75), ("train", "Match", "a.1", 90), ("test", "Match", "b", 80)]


def test_rows_are_the_published_four_columns(clips):
    write_rows(ROWS, clips / "data_file.csv")
    assert (clips / "data_file.csv").read_text() == "train,Ads,a.1,75\ntrain,Match,a.1,90\ntest,Match,b,80\n"


def test_it_is_read_as_a_catalog(clips):
    """Names have no extension, also with a dot in them, and two classes may have one name."""
    write_rows(ROWS, clips / "data_file.csv")
    catalog = read_catalog(clips / "data_file.csv")
    assert [(video.name, video.split, video.label, video.frames) for video in catalog] == [
        ("test/Match/b.mkv", "test", "Match", 80),
        ("train/Ads/a.1.avi", "train", "Ads", 75),
        ("train/Match/a.1.mp4", "train", "Match", 90),
    ]
    assert all(video.path.is_file() for video in catalog)
    of_folder = open_catalog(clips)
    assert [video.frames for video in of_folder] == [80, 75, 90]
    assert of_folder.table == clips / "data_file.csv"


def test_a_table_with_a_header_is_another_one(clips):
    (clips / "table.csv").write_text("split,label,path,frames\ntrain,Ads,train/Ads/a.1.avi,75\n")
    assert read_rows(clips / "table.csv") == []
    assert len(read_catalog(clips / "table.csv")) == 1


@pytest.mark.parametrize("row", ["train,Match,b", "train,Match,b,many"])
def test_a_row_of_another_form_is_told(clips, row):
    (clips / "data_file.csv").write_text(f"train,Ads,a.1,75\n{row}\n")
    with pytest.raises(UserError, match="line 2: expected split, class, file name and number of frames"):
        read_catalog(clips / "data_file.csv")
