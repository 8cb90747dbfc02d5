"""From times to clips: pieces, segment tables, names and groups."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import UserError, VideoError
from pipeline.videos.catalog.clip_origins import ClipOrigin, groups_in, read_origins, record_origins, recording_id
from pipeline.videos.clips.plan import equal_pieces, open_recording, plan_clips
from pipeline.videos.labels.segments import Segment, read_segments
from tests.media import write_video

# -- pieces ----------------------------------------------------------------------------------------


def test_pieces_as_documented():
    assert equal_pieces(10, 3) == [(0, 3), (3, 6), (6, 9), (9, 10)]
    assert equal_pieces(10, 3, overlap=1) == [(0, 3), (2, 5), (4, 7), (6, 9), (8, 10)]
    assert equal_pieces(10, 3, keep_last=False) == [(0, 3), (3, 6), (6, 9)]
    assert equal_pieces(9, 3) == [(0, 3), (3, 6), (6, 9)]
    assert equal_pieces(2, 3, keep_last=False) == [(0, 2)]


@given(st.floats(0.05, 500), st.floats(0.5, 60), st.floats(0, 0.9), st.booleans())
def test_pieces_cover_the_recording(duration, every, share, keep_last):
    overlap = every * share
    pieces = equal_pieces(duration, every, overlap=overlap, keep_last=keep_last)
    assert pieces[0][0] == 0
    assert all(0 < end - start <= every + 1e-6 for start, end in pieces)
    for (start, end), (following, _) in itertools.pairwise(pieces):
        assert following == pytest.approx(start + every - overlap)
        assert end == pytest.approx(following + overlap)
    left_out = duration - pieces[-1][1]
    assert left_out <= (1e-3 if keep_last else every)
    assert all(end - start > every - 2e-3 for start, end in pieces[: -1 if keep_last else None] if len(pieces) > 1)


@pytest.mark.parametrize(("every", "overlap"), [(0, 0), (-1, 0), (float("nan"), 0), (float("inf"), 0), (3, 3), (3, -1)])
def test_impossible_pieces_are_refused(every, overlap):
    with pytest.raises(UserError, match=r"cannot be cut|does not fit"):
        equal_pieces(10, every, overlap=overlap)


# -- tables ----------------------------------------------------------------------------------------


def table(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "segments.csv"
    path.write_bytes(text.encode(encoding))
    return path


def test_reads_segments_in_all_ways_people_write_them(tmp_path):
    (tmp_path / "a.mp4").touch()
    rows = ["Video;Start;End;Label;Split;Group", "a.mp4;0;1,5;Ball;Training;p1", "b.mp4;00:01;00:00:02.500;Rain;;", ""]
    segments = read_segments(table(tmp_path, "\r\n".join(rows), "utf-8-sig"))
    assert [(s.start, s.end, s.label, s.split, s.group) for s in segments] == [
        (0, 1.5, "Ball", "train", "p1"),
        (1, 2.5, "Rain", "", ""),
    ]
    assert [segment.video for segment in segments] == [tmp_path / "a.mp4", tmp_path / "b.mp4"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a.mp4,5,3,Ball", "line 3: the end 3 is not after the start 5"),
        ("a.mp4,5,5,Ball", "line 3: the end 5 is not after the start 5"),
        ("a.mp4,5,1:75,Ball", "line 3: '1:75' has more than 59"),
        ("a.mp4,five,6,Ball", "line 3: 'five' is not a time; expected seconds"),
        (",5,6,Ball", "line 3: the column 'video' is empty"),
        ("a.mp4,5,6,", "line 3: the column 'label' is empty"),
        ("a.mp4,5,6,../up", "line 3: the label '../up' cannot name a folder"),
        ("a.mp4,5,6,.hidden", "cannot name a folder"),
        ("a.mp4,5,6,a\udce9b", "is not plain UTF-8 text"),
        ("a.mp4,1,2,Ball", "line 3: the same segment is in line 2"),
    ],
)
def test_a_wrong_row_is_named(tmp_path, row, message):
    path = tmp_path / "segments.csv"
    path.write_bytes(f"video,start,end,label\na.mp4,1,2,Ball\n{row}\n".encode("utf-8", "surrogateescape"))
    with pytest.raises(UserError) as caught:
        read_segments(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_wrong_split_or_header_is_named(tmp_path):
    with pytest.raises(UserError, match="split 'dev' is unknown; expected train, val or test"):
        read_segments(table(tmp_path, "video,start,end,label,split\na.mp4,1,2,x,dev\n"))
    with pytest.raises(UserError, match="has the columns video, begin; expected video, start, end, label"):
        read_segments(table(tmp_path, "video,begin\na.mp4,1\n"))
    with pytest.raises(UserError, match="has no rows"):
        read_segments(table(tmp_path, "video,start,end,label\n"))


# -- plans -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    return open_recording(write_video(tmp_path_factory.mktemp("clips") / "Match.mp4", frames=100))


def test_frames_are_those_whose_time_is_inside(recording, tmp_path):
    clips = plan_clips(recording, [Segment(recording.path, 1.0, 2.0), Segment(recording.path, 1.01, 1.99)], tmp_path)
    assert [(clip.first, clip.end) for clip in clips] == [(25, 50), (26, 50)]
    assert [clip.frames for clip in clips] == [25, 24]


def test_folders_names_and_groups(recording, tmp_path):
    segments = [
        Segment(recording.path, 0, 1, "Ball", "train"),
        Segment(recording.path, 1, 2, "Rain", "test", "person 1"),
        Segment(recording.path, 2, 3),
    ]
    clips = plan_clips(recording, segments, tmp_path)
    assert [clip.path.relative_to(tmp_path).as_posix() for clip in clips] == [
        "train/Ball/Match_000000.000-000001.000.mp4",
        "test/Rain/Match_000001.000-000002.000.mp4",
        "Match_000002.000-000003.000.mp4",
    ]
    assert [clip.group for clip in clips] == [recording.source_id, "person 1", recording.source_id]


def test_a_segment_past_the_end(recording, tmp_path):
    over = [Segment(recording.path, 3, 6, where="s.csv, line 2")]
    with pytest.raises(UserError, match=r"s\.csv, line 2: .*past the end.*00:00:04\.000 long; give `clamp=True`"):
        plan_clips(recording, over, tmp_path)
    assert plan_clips(recording, over, tmp_path, clamp=True)[0].end == 100
    for clamp in (False, True):
        with pytest.raises(UserError, match="lies past the end"):
            plan_clips(recording, [Segment(recording.path, 4.5, 6)], tmp_path, clamp=clamp)
    # The end of the last frame may be rounded up.
    assert plan_clips(recording, [Segment(recording.path, 3, 4.05)], tmp_path)[0].end == 100


def test_a_segment_without_a_frame(recording, tmp_path):
    with pytest.raises(UserError, match="holds no frame"):
        plan_clips(recording, [Segment(recording.path, 1.01, 1.02)], tmp_path)


def test_long_names_are_shortened(recording, tmp_path):
    path = recording.path.with_name("視" * 80 + ".mp4")
    path.hardlink_to(recording.path)
    clips = plan_clips(open_recording(path), [Segment(path, 0, 1)], tmp_path)
    assert len(clips[0].path.name.encode()) < 200
    clips[0].path.touch()


# -- where clips come from -------------------------------------------------------------------------


def origin(clip: str, group: str = "g", settings: str = "s") -> ClipOrigin:
    return ClipOrigin(clip, "/v.mp4", "v-1", "0", "1", "0", "25", group, settings)


def test_the_last_row_of_a_clip_counts(tmp_path):
    record_origins(tmp_path, [origin(" a,\n'b\".mp4"), origin("b.mp4")])
    record_origins(tmp_path, [origin("b.mp4", "h"), origin(" a,\n'b\".mp4")])
    assert groups_in(tmp_path) == {" a,\n'b\".mp4": "g", "b.mp4": "h"}
    assert read_origins(tmp_path)["b.mp4"].made_like(origin("b.mp4", "other"))
    assert not read_origins(tmp_path)["b.mp4"].made_like(origin("b.mp4", settings="other"))


def test_a_carriage_return_in_a_name(tmp_path):
    record_origins(tmp_path, [origin("a\r.mp4"), origin("b.mp4")])
    assert set(groups_in(tmp_path)) == {"a\r.mp4", "b.mp4"}


def test_a_torn_last_line_costs_one_row(tmp_path):
    record_origins(tmp_path, [origin("a.mp4"), origin("b.mp4")])
    table = tmp_path / "clips.csv"
    table.write_bytes(table.read_bytes()[:-12])
    assert set(read_origins(tmp_path)) == {"a.mp4"}, "half a row is not of another recording"
    record_origins(tmp_path, [origin("c.mp4")])
    assert set(groups_in(tmp_path)) == {"a.mp4", "c.mp4"}
    assert len(table.read_text().splitlines()) == 3


def test_a_table_that_was_begun_only_gets_its_header(tmp_path):
    (tmp_path / "clips.csv").touch()
    record_origins(tmp_path, [origin("a.mp4")])
    assert groups_in(tmp_path) == {"a.mp4": "g"}


def test_a_foreign_table_says_nothing(tmp_path):
    assert groups_in(tmp_path) == {}
    (tmp_path / "clips.csv").write_text("name,score\na.mp4,3\n")
    assert groups_in(tmp_path) == {}
    (tmp_path / "clips.csv").write_bytes(b"\0\1\2")
    assert groups_in(tmp_path) == {}


def test_recordings_are_known_by_content(tmp_path):
    (tmp_path / "a").mkdir()
    for folder, data in ((tmp_path, b"x" * 200_000), (tmp_path / "a", b"x" * 199_999 + b"y")):
        (folder / "M.mp4").write_bytes(data)
    one, two = recording_id(tmp_path / "M.mp4"), recording_id(tmp_path / "a" / "M.mp4")
    assert one.startswith("M-")
    assert one != two
    assert recording_id((tmp_path / "M.mp4").rename(tmp_path / "a" / "M.mp4")) == one
    with pytest.raises(VideoError, match="does not exist"):
        recording_id(tmp_path / "missing.mp4")
