"""Stretches to frames and back: the identity, or a report."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import UserError
from pipeline.videos.labels.segments import Interval, find_intervals, label_frames, read_labels

TIMES = np.arange(10) / 10


@st.composite
def labelled_videos(draw):
    """Times of a video, steady or not, and intervals that begin and end at its frames."""
    gaps = draw(st.lists(st.integers(4, 200), min_size=1, max_size=60))
    times = np.cumsum([0, *gaps]) / 1000
    times, duration = times[:-1], float(times[-1])
    borders = sorted(draw(st.sets(st.integers(0, len(times)), max_size=12)))
    ends = np.append(times, duration)
    intervals: list[Interval] = []
    for first, end in itertools.pairwise(borders):
        label = draw(st.sampled_from(["", "walk", "run", "jump"]))
        touches = intervals and intervals[-1].end == ends[first] and intervals[-1].label == label
        if label and not touches:
            intervals.append(Interval(float(ends[first]), float(ends[end]), label))
    return times, duration, intervals


@settings(max_examples=1000, deadline=None)
@given(labelled_videos())
def test_stretches_to_frames_and_back_is_the_identity(case):
    times, duration, intervals = case
    labelled = label_frames(times, duration, intervals)
    assert find_intervals(times, duration, labelled.labels) == intervals
    again = label_frames(times, duration, find_intervals(times, duration, labelled.labels))
    assert again == labelled


@given(st.lists(st.sampled_from(["", "a", "b"]), min_size=1, max_size=80))
def test_frames_to_stretches_and_back_is_the_identity(labels):
    times = np.arange(len(labels)) / 29.97
    duration = len(labels) / 29.97
    assert label_frames(times, duration, find_intervals(times, duration, labels)).labels == labels


def test_the_end_is_not_included():
    assert label_frames(TIMES, 1.0, [Interval(0.2, 0.5, "x")], background="-").labels == list("--xxx-----")


def test_frames_without_a_label_are_named():
    labelled = label_frames(TIMES, 1.0, [Interval(0.0, 0.2, "a"), Interval(0.3, 0.8, "b")])
    assert labelled.reports == [
        "frame 2 has no label (00:00:00.200 to 00:00:00.300)",
        "frames 8 to 9 have no label (00:00:00.800 to 00:00:01.000)",
    ]


def test_times_out_of_range_are_reported():
    intervals = [Interval(0, 1.5, "a", "s.csv, line 2"), Interval(3, 4, "b"), Interval(0.41, 0.49, "a")]
    reports = label_frames(TIMES, 1.0, intervals).reports
    assert reports[0].startswith("s.csv, line 2: 00:00:00.000 to 00:00:01.500 (a) reaches past the end")
    assert "(a) holds no frame" in reports[1]
    assert "00:00:03.000 to 00:00:04.000 (b) reaches past the end" in reports[2]


def test_two_labels_for_one_frame_are_refused():
    intervals = [Interval(0.0, 0.5, "a", "s.csv, line 2"), Interval(0.4, 0.8, "b", "s.csv, line 3")]
    with pytest.raises(UserError) as caught:
        label_frames(TIMES, 1.0, intervals)
    assert str(caught.value) == ("s.csv, line 3: frame 4 at 00:00:00.400 has two labels, 'a' (s.csv, line 2) and 'b'")
    same = [Interval(0.0, 0.5, "a"), Interval(0.4, 1.0, "a")]
    assert label_frames(TIMES, 1.0, same).labels == ["a"] * 10


def test_another_number_of_labels_is_refused():
    with pytest.raises(UserError, match="3 labels were given for 10 frames"):
        find_intervals(TIMES, 1.0, ["a"] * 3)


def test_reads_labels_of_frames(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_bytes("\ufeffvideo;frame;time;label\r\na.mp4;0;0;walk\r\na.mp4;1;0.04;\r\n".encode())
    assert read_labels(path) == {"a.mp4": {0: "walk", 1: ""}}
    path.write_text("file,label\nvideo_1/video_1_10.jpg,b\nvideo_1/video_1_9.jpg,a\nvideo_2/x.jpg,c\n")
    assert read_labels(path) == {"video_1": {0: "a", 1: "b"}, "video_2": {0: "c"}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("video,label\na,b\n", "has the columns label, video; expected video,frame,label or file,label"),
        ("video,frame,label\na,x,b\n", "line 2: the frame 'x' is not a number"),
        ("video,frame,label\na,1,b\na,1,c\n", "line 3: frame 1 of a has two labels, 'b' (line 2) and 'c'"),
        ("file,label\nv/1.jpg,b\nv/1.jpg,c\n", "line 3: frame 1.jpg of v has two labels"),
    ],
)
def test_wrong_tables_are_refused(tmp_path, text, message):
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(UserError) as caught:
        read_labels(tmp_path / "labels.csv")
    assert message in str(caught.value)
