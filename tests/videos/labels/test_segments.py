"""Stretches to frames and back: the identity, or a report."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import UserError
from pipeline.videos.labels.segments import Segment, find_segments, label_frames

VIDEO = Path("v.mp4")
TIMES = np.arange(10) / 10


@st.composite
def labelled_videos(draw):
    """Times of a video, steady or not, and segments that begin and end at its frames."""
    gaps = draw(st.lists(st.integers(4, 200), min_size=1, max_size=60))
    times = np.cumsum([0, *gaps]) / 1000
    times, duration = times[:-1], float(times[-1])
    borders = sorted(draw(st.sets(st.integers(0, len(times)), max_size=12)))
    ends = np.append(times, duration)
    segments: list[Segment] = []
    for first, end in itertools.pairwise(borders):
        label = draw(st.sampled_from(["", "walk", "run", "jump"]))
        touches = segments and segments[-1].end == ends[first] and segments[-1].label == label
        if label and not touches:
            segments.append(Segment(VIDEO, float(ends[first]), float(ends[end]), label))
    return times, duration, segments


@settings(max_examples=1000, deadline=None)
@given(labelled_videos())
def test_stretches_to_frames_and_back_is_the_identity(case):
    times, duration, segments = case
    labelled = label_frames(times, duration, segments)
    assert find_segments(VIDEO, times, duration, labelled.labels) == segments
    again = label_frames(times, duration, find_segments(VIDEO, times, duration, labelled.labels))
    assert again == labelled


@given(st.lists(st.sampled_from(["", "a", "b"]), min_size=1, max_size=80))
def test_frames_to_stretches_and_back_is_the_identity(labels):
    times = np.arange(len(labels)) / 29.97
    duration = len(labels) / 29.97
    assert label_frames(times, duration, find_segments(VIDEO, times, duration, labels)).labels == labels


def test_the_end_is_not_included():
    assert label_frames(TIMES, 1.0, [Segment(VIDEO, 0.2, 0.5, "x")], background="-").labels == list("--xxx-----")


def test_frames_without_a_label_are_named():
    labelled = label_frames(TIMES, 1.0, [Segment(VIDEO, 0.0, 0.2, "a"), Segment(VIDEO, 0.3, 0.8, "b")])
    assert labelled.reports == [
        "frame 2 has no label (00:00:00.200 to 00:00:00.300)",
        "frames 8 to 9 have no label (00:00:00.800 to 00:00:01.000)",
    ]


def test_times_out_of_range_are_reported():
    segments = [
        Segment(VIDEO, 0, 1.5, "a", where="s.csv, line 2"),
        Segment(VIDEO, 3, 4, "b"),
        Segment(VIDEO, 0.41, 0.49, "a"),
    ]
    reports = label_frames(TIMES, 1.0, segments).reports
    assert reports[0].startswith("s.csv, line 2: 00:00:00.000 to 00:00:01.500 (a) reaches past the end")
    assert "(a) holds no frame" in reports[1]
    assert "00:00:03.000 to 00:00:04.000 (b) reaches past the end" in reports[2]


def test_two_labels_for_one_frame_are_refused():
    segments = [
        Segment(VIDEO, 0.0, 0.5, "a", where="s.csv, line 2"),
        Segment(VIDEO, 0.4, 0.8, "b", where="s.csv, line 3"),
    ]
    with pytest.raises(UserError) as caught:
        label_frames(TIMES, 1.0, segments)
    assert str(caught.value) == ("s.csv, line 3: frame 4 at 00:00:00.400 has two labels, 'a' (s.csv, line 2) and 'b'")
    same = [Segment(VIDEO, 0.0, 0.5, "a"), Segment(VIDEO, 0.4, 1.0, "a")]
    assert label_frames(TIMES, 1.0, same).labels == ["a"] * 10


def test_another_number_of_labels_is_refused():
    with pytest.raises(UserError, match="3 labels were given for 10 frames"):
        find_segments(VIDEO, TIMES, 1.0, ["a"] * 3)
