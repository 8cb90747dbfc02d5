from __future__ import annotations

import csv

import numpy as np
import pytest

from pipeline.inference.outputs.data_files import write_segments, write_srt
from pipeline.inference.timeline.segments import find_segments
from pipeline.inference.timeline.smoothing import UNKNOWN
from pipeline.videos.labels.annotation_formats import read_annotations

CLASSES = ("Ad", "<i>Game</i>")


@pytest.fixture
def segments():
    labels = np.array([0, 0, 1, 1, 1, UNKNOWN])
    values = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.4, 0.6], [0, 1], [0.55, 0.45]], np.float32)
    return find_segments(labels, values, np.array([0, 0.5, 1, 1.5, 61, 3600]), 3601.0, CLASSES)


def test_segments_follow_each_other(segments):
    assert [(s.label, s.first_frame, s.end_frame) for s in segments] == [
        ("Ad", 0, 2),
        ("<i>Game</i>", 2, 5),
        ("unknown", 5, 6),
    ]
    assert [s.start for s in segments] == [0, 1, 3600]
    assert [s.end for s in segments] == [1, 3600, 3601]
    assert [s.probability for s in segments] == pytest.approx([0.8, 0.8, 0.55])


def test_no_frames_no_segments():
    assert find_segments(np.empty(0, int), np.empty((0, 2)), np.empty(0), 0.0, CLASSES) == []


def test_subtitles(segments, tmp_path):
    write_srt(segments, tmp_path / "a.srt")
    assert (tmp_path / "a.srt").read_text() == (
        "1\n00:00:00,000 --> 00:00:01,000\nAd 80%\n\n"
        "2\n00:00:01,000 --> 01:00:00,000\n(i)Game(/i) 80%\n\n"
        "3\n01:00:00,000 --> 01:00:01,000\nunknown\n"
    )


def test_table(segments, tmp_path):
    write_segments(segments, tmp_path / "Match.mp4", tmp_path / "out" / "a.csv")
    with (tmp_path / "out" / "a.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["video"] for row in rows} == {"../Match.mp4"}
    assert [row["label"] for row in rows] == ["Ad", "<i>Game</i>", "unknown"]
    assert [float(row["end"]) for row in rows] == [1, 3600, 3601]


def test_the_table_can_be_cut_from_as_it_is(segments, tmp_path):
    (tmp_path / "Match.mp4").touch()
    write_segments(segments[:1], tmp_path / "Match.mp4", tmp_path / "out" / "a.csv")
    (segment,) = read_annotations(tmp_path / "out" / "a.csv").segments
    assert (segment.start, segment.end, segment.label) == (0, 1, "Ad")
    assert segment.video.samefile(tmp_path / "Match.mp4")
