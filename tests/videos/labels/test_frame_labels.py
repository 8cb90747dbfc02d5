"""Every frame has its label, whichever way it was written; what does not fit is told; splits keep videos whole."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.videos.catalog.catalog import open_catalog
from pipeline.videos.catalog.splits import Shares
from pipeline.videos.labels.frame_labels import FrameLabel, add_splits, label_data, read_frame_labels


@pytest.fixture
def frames(tmp_path):
    """Two folders of six frames, whose files begin at 1, and a table that a test writes."""
    for video in ("seal", "bird"):
        (tmp_path / video).mkdir()
        for number in range(1, 7):
            cv2.imwrite(str(tmp_path / video / f"{video}_{number}.jpg"), np.zeros((8, 8, 3), np.uint8))

    def read(text, **kwargs):
        (tmp_path / "labels.csv").write_text(text)
        return label_data(open_catalog(tmp_path), tmp_path / "labels.csv", **kwargs)

    return read


def rows(video, labels, split=""):
    return "".join(f"{video},{video}_{number}.jpg,{label},{split}\n" for number, label in enumerate(labels, 1) if label)


def labels_of(checked, video):
    return [label.label for label in checked.labels if label.video == video]


def test_files_are_frames_in_natural_order_and_valid_is_val(frames):
    checked = frames("video,frame,label,split\n" + rows("seal", "aabbba", "train") + rows("bird", "bbbbbb", "valid"))
    assert checked.reports == []
    assert labels_of(checked, "seal") == list("aabbba")
    assert [label.frame for label in checked.labels if label.video == "seal"] == list(range(6))
    assert {(label.video, label.split) for label in checked.labels} == {("seal", "train"), ("bird", "val")}
    assert checked.labels[-1].file == "seal_6.jpg"


def test_numbers_count_from_zero(frames):
    checked = frames("video,frame,label\n" + "".join(f"{v},{n},a\n" for v in ("seal", "bird") for n in range(6)))
    assert checked.reports == []
    assert len(checked.labels) == 12


def test_times_become_labels_of_frames(frames):
    # 25 frames a second: two frames, then four
    checked = frames(
        "video,time,label\nseal,00:00 - 00:00.08,a\nseal,00:00.08 - 00:00.24,b\nbird,00:00:00 - 00:00:00.24,b\n"
    )
    assert checked.reports == []
    assert labels_of(checked, "seal") == list("aabbbb")


def test_frames_without_a_label_and_labels_without_a_frame_are_told(frames):
    text = "video,frame,label\n" + "".join(f"seal,{n},a\n" for n in (0, 3, 4, 5)) + "seal,9,a\nfish,0,a\n"
    checked = frames(text)
    assert "seal: frames 1 to 2 have no label (00:00:00.040 to 00:00:00.120)" in checked.reports
    assert any(report.startswith("bird: frames 0 to 5 have no label") for report in checked.reports)
    assert any("line 6: there is no frame '9'; the last is 5" in report for report in checked.reports)
    assert any("line 7: there is no video 'fish'" in report for report in checked.reports)
    whole = frames(text, background="none")
    assert labels_of(whole, "bird") == ["none"] * 6
    assert labels_of(whole, "seal") == ["a", "none", "none", "a", "a", "a"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("video,label\nseal,a\n", "expected video,frame,label or"),
        ("video,frame,label\nseal,0,a\nseal,0,b\n", "line 3: frame 0 of seal has two labels"),
        ("video,frame,label,split\nseal,0,a,tain\n", "line 2: split 'tain' is unknown"),
        (
            "video,frame,label,split\nseal,0,a,train\nseal,1,a,test\n",
            "line 3: rows of one video name the splits test and train",
        ),
        ("video,time,label\nseal,soon,a\n", "line 2: 'soon' is not a stretch of time"),
        ("video,time,label\nseal,0:02 - 0:01,a\n", "not after the start"),
    ],
)
def test_mistakes_name_the_line(frames, text, line):
    with pytest.raises(UserError, match=line):
        frames(text)


def test_splits_keep_videos_whole_and_given_ones_stay():
    labels = [FrameLabel(f"v{v}", f, "", "ab"[v % 2]) for v in range(20) for f in range(3)]
    done = add_splits(labels, Shares(0.5, 0.25, 0.25), seed=1)
    of_video = {label.video: {other.split for other in done if other.video == label.video} for label in done}
    assert all(len(splits) == 1 for splits in of_video.values())
    assert {split for splits in of_video.values() for split in splits} == {"train", "val", "test"}
    assert add_splits(done, Shares(1, 0, 0)) == done
    with pytest.raises(UserError, match="19 videos without a split"):
        add_splits([FrameLabel("v0", 0, "", "a", "train"), *labels[3:]], Shares(0.5, 0.25, 0.25))


def read(path):
    return {video: {row.frame: row.label for row in rows} for video, rows in read_frame_labels(path).items()}


def test_reads_labels_of_frames(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_bytes("\ufeffvideo;frame;time;label\r\na.mp4;0;0;walk\r\na.mp4;1;0.04;\r\n".encode())
    assert read(path) == {"a.mp4": {"0": "walk", "1": ""}}
    path.write_text("file,label\nvideo_1/video_1_10.jpg,b\nvideo_1/video_1_9.jpg,a\nvideo_2/x.jpg,c\n")
    assert read(path) == {"video_1": {"video_1_10.jpg": "b", "video_1_9.jpg": "a"}, "video_2": {"x.jpg": "c"}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("video,label\na,b\n", "has the columns label, video; expected video,frame,label or file,label"),
        ("video,frame,label\na,1,b\na,1,c\n", "line 3: frame 1 of a has two labels, 'b' ("),
        ("file,label\nv/1.jpg,b\nv/1.jpg,c\n", "line 3: frame 1.jpg of v has two labels"),
    ],
)
def test_wrong_tables_are_refused(tmp_path, text, message):
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(UserError) as caught:
        read_frame_labels(tmp_path / "labels.csv")
    assert message in str(caught.value)
