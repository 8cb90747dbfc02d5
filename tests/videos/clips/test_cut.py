"""Cutting by content: each clip has exactly the frames that were asked for, the first and the last ones included."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import UserError, VideoError
from pipeline.videos.clips.cut import CutResult, Encoding, claim, cut_clips, left_to_cut
from pipeline.videos.clips.plan import Clip, equal_pieces, open_recording, plan_clips
from pipeline.videos.labels.segments import Segment
from pipeline.videos.media import open_video
from pipeline.videos.media.reader import VideoReader
from tests.media import KINDS, read_number, write_video

FRAMES = 240
SEGMENTS = 200
EXACT_KINDS = (
    ("h264_mp4", "h264_mkv", "h264_vfr_mp4", "mpeg2_mpg", "mpeg2_ts", "h264_ts")
    + ("mpeg4_avi", "mjpeg_avi", "h264_avi", "vp9_webm")
)  # fmt: skip
FAST = Encoding(preset="ultrafast", quality=23)


def numbers(path: Path) -> list[int]:
    with open_video(path) as video:
        return [read_number(frame.image) for frame in video]


def cut_all(clips: list[Clip], out: Path, encoding: Encoding = FAST, workers: int = 2) -> list[CutResult]:
    claim(clips, str(encoding))
    return list(cut_clips(clips, out, encoding, workers=workers))


@pytest.fixture(scope="module")
def recordings(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("recordings")
    return {kind: write_video(folder / kind, kind, frames=FRAMES) for kind in KINDS}


@pytest.mark.parametrize("kind", EXACT_KINDS)
def test_random_segments_are_exact(recordings, kind, tmp_path):
    """20 segments of each of ten kinds: constant and variable rates, B-frames, streams that seek badly."""
    recording = open_recording(recordings[kind])
    rng = np.random.default_rng(list(KINDS).index(kind))
    segments = []
    for _ in range(SEGMENTS // len(EXACT_KINDS)):
        start, end = np.sort(rng.uniform(0, recording.duration, 2))
        segments.append(Segment(recordings[kind], round(float(start), 3), round(float(end) + 0.15, 3)))
    clips = plan_clips(recording, segments, tmp_path, clamp=True)
    assert [cut.error for cut in cut_all(clips, tmp_path)] == [None] * len(clips)
    for segment, clip in zip(segments, clips, strict=True):
        inside = np.flatnonzero((recording.times >= segment.start - 1e-3) & (recording.times < segment.end - 1e-3))
        assert numbers(clip.path) == inside.tolist()


def test_clips_can_be_decoded_to_verify_them(recordings, tmp_path, monkeypatch):
    recording = open_recording(recordings["h264_mp4"])
    scanned = []
    scan = VideoReader.scan
    monkeypatch.setattr(VideoReader, "scan", lambda video: scanned.append(scan(video)) or scanned[-1])
    clips = plan_clips(recording, [Segment(recording.path, 0, 1), Segment(recording.path, 1, 3)], tmp_path)
    assert all(cut.error is None for cut in cut_all(clips, tmp_path, replace(FAST, decode_again=True)))
    assert sorted(scanned) == [25, 50]


@pytest.mark.parametrize("kind", KINDS)
def test_equal_pieces_lose_and_repeat_nothing(recordings, kind, tmp_path):
    """Pieces in one pass, put together again, are the recording, with its own times."""
    recording = open_recording(recordings[kind])
    segments = [Segment(recordings[kind], *piece) for piece in equal_pieces(recording.duration, 1.3)]
    clips = plan_clips(recording, segments, tmp_path)
    assert [cut.error for cut in cut_all(clips, tmp_path)] == [None] * len(clips)
    together = [number for clip in sorted(clips, key=lambda clip: clip.path.name) for number in numbers(clip.path)]
    assert together == list(range(FRAMES))
    for clip in clips:
        with open_video(clip.path) as video:
            times = recording.times[clip.first : clip.end]
            if kind == "h264_avi":  # There the times themselves are guesses, and two decoders guess differently.
                continue
            assert np.allclose(video.times(), times - times[0], atol=2e-3)
            assert video.info().duration == pytest.approx(clip.end_time - clip.start_time, abs=0.06)


def test_sound_is_cut_with_the_picture(tmp_path):
    path = write_video(tmp_path / "Talk.mkv", frames=150, sound=True)
    recording = open_recording(path)
    assert recording.sound
    pieces = [Segment(path, *piece) for piece in equal_pieces(recording.duration, 2)]
    single = [Segment(path, 1.0, 3.5)]
    for segments, folder in ((pieces, tmp_path / "many"), (single, tmp_path / "one")):
        clips = plan_clips(recording, segments, folder)
        assert all(cut.error is None for cut in cut_all(clips, folder))
        for clip in clips:
            with open_video(clip.path) as video:
                assert video.has_sound
                sound = video._container.streams.audio[0]
                seconds = float(sound.duration * sound.time_base)
            assert seconds == pytest.approx(clip.end_time - clip.start_time, abs=0.06)
    silent = replace(FAST, sound=False)
    clips = plan_clips(recording, single, tmp_path / "silent")
    cut_all(clips, tmp_path / "silent", silent)
    with open_video(clips[0].path) as video:
        assert not video.has_sound


def test_size_and_rate(recordings, tmp_path):
    recording = open_recording(recordings["h264_mp4"])
    clips = plan_clips(recording, [Segment(recording.path, 1, 3), Segment(recording.path, 3, 5)], tmp_path)
    encoding = replace(FAST, size=(128, 72), fps=10)
    assert all(cut.error is None for cut in cut_all(clips, tmp_path, encoding))
    for clip in clips:
        with open_video(clip.path) as video:
            info = video.info()
        assert (info.width, info.height) == (128, 72)
        assert info.fps == pytest.approx(10, rel=0.01)
        assert info.frames == pytest.approx(20, abs=1)


def test_odd_sizes_become_even(tmp_path):
    path = write_video(tmp_path / "odd.mkv", "ffv1_mkv", frames=20, size=(193, 97))
    clips = plan_clips(open_recording(path), [Segment(path, 0.2, 0.6)], tmp_path)
    assert cut_all(clips, tmp_path)[0].error is None
    with open_video(clips[0].path) as video:
        assert (video.info().width, video.info().height) == (192, 96)
    assert numbers(clips[0].path) == list(range(5, 15))


@pytest.mark.parametrize("name", ["-dash.mp4", "a b'c\"d.mp4", "new\nline.mp4", "視頻 %03d.mp4", "12:30, x=1;[in].mp4"])
def test_names_of_all_kinds(tmp_path, name):
    path = write_video(tmp_path / name, frames=60)
    folder = tmp_path / "out %d 'x"
    recording = open_recording(path)
    pieces = [Segment(path, *piece, label='Über "Klasse" %d') for piece in equal_pieces(recording.duration, 1)]
    clips = plan_clips(recording, pieces, folder)
    assert all(cut.error is None for cut in cut_all(clips, folder))
    assert [number for clip in clips for number in numbers(clip.path)] == list(range(60))
    assert left_to_cut(clips, str(FAST)) == []


# -- going on, refusing, failing -------------------------------------------------------------------


def test_what_is_there_is_not_cut_again(recordings, tmp_path):
    recording = open_recording(recordings["h264_mp4"])
    segments = [Segment(recording.path, 0, 2), Segment(recording.path, 4, 6)]
    clips = plan_clips(recording, segments, tmp_path)
    cut_all(clips, tmp_path)
    before = clips[0].path.stat().st_mtime_ns
    clips[1].path.unlink()
    assert left_to_cut(clips, str(FAST)) == [clips[1]]
    cut_all([clips[1]], tmp_path)
    assert left_to_cut(clips, str(FAST)) == []
    assert clips[0].path.stat().st_mtime_ns == before


def test_a_moved_recording_is_known_again(tmp_path):
    path = write_video(tmp_path / "a" / "Match.mp4")
    clips = plan_clips(open_recording(path), [Segment(path, 0, 1)], tmp_path / "out")
    cut_all(clips, tmp_path / "out")
    (tmp_path / "b").mkdir()
    moved = path.rename(tmp_path / "b" / "Match.mp4")
    again = plan_clips(open_recording(moved), [Segment(moved, 0, 1)], tmp_path / "out")
    assert left_to_cut(again, str(FAST)) == []
    assert again[0].group == clips[0].group


def test_nothing_is_overwritten_unasked(recordings, tmp_path):
    recording = open_recording(recordings["h264_mp4"])
    clips = plan_clips(recording, [Segment(recording.path, 0, 1)], tmp_path)
    clips[0].path.write_bytes(b"somebody's own")
    with pytest.raises(UserError, match="is not a clip of this recording; give `overwrite=True`"):
        left_to_cut(clips, str(FAST))
    assert left_to_cut(clips, str(FAST), overwrite=True) == clips
    cut_all(clips, tmp_path)
    with pytest.raises(UserError, match="was cut with other settings"):
        left_to_cut(clips, str(replace(FAST, fps=5)))


def test_two_recordings_of_one_name_do_not_collide(tmp_path):
    one = write_video(tmp_path / "a" / "Match.mp4", frames=50)
    two = write_video(tmp_path / "b" / "Match.mkv", "h264_mkv", frames=50, first=1000)
    taken: set[Path] = set()
    clips = []
    for path in (one, two):
        clips += plan_clips(open_recording(path), [Segment(path, 0, 1)], tmp_path / "out", taken=taken)
    assert len({clip.path for clip in clips}) == len({clip.group for clip in clips}) == 2
    assert all(cut.error is None for cut in cut_all(clips, tmp_path / "out"))
    assert [numbers(clip.path)[0] for clip in clips] == [0, 1000]
    # The same in two runs of the command.
    third = write_video(tmp_path / "c" / "Match.mp4", frames=50, first=2000)
    later = plan_clips(open_recording(third), [Segment(third, 0, 1)], tmp_path / "out")
    assert later[0].path not in {clip.path for clip in clips}
    first_again = plan_clips(open_recording(one), [Segment(one, 0, 1)], tmp_path / "out")
    assert left_to_cut(first_again, str(FAST)) == []


def test_a_damaged_stretch_fails_alone(tmp_path):
    """Zeros in the middle of a file: the clips there fail with a reason, the others are exact."""
    path = write_video(tmp_path / "Match.mkv", "h264_mkv", frames=240)
    data = bytearray(path.read_bytes())
    recording = open_recording(path)
    middle = len(data) // 2
    data[middle : middle + 3000] = bytes(3000)
    path.write_bytes(data)
    segments = [Segment(path, *piece) for piece in equal_pieces(recording.duration, 1.2)]
    clips = plan_clips(recording, segments, tmp_path / "out")
    cuts = cut_all(clips, tmp_path / "out")
    bad = [cut for cut in cuts if cut.error]
    good = [cut for cut in cuts if not cut.error]
    assert 1 <= len(bad) <= 4
    assert len(good) + len(bad) == len(clips)
    assert all(not cut.clip.path.exists() for cut in bad)
    assert all("damaged" in cut.error.reason or cut.error.stage == "ffmpeg" for cut in bad if cut.error)
    first = sorted(good, key=lambda cut: cut.clip.first)[0].clip
    assert numbers(first.path) == list(range(first.first, first.end))


def test_ffmpeg_says_itself_what_was_wrong(recordings, tmp_path):
    recording = open_recording(recordings["h264_mp4"])
    clips = plan_clips(recording, [Segment(recording.path, 0, 1)], tmp_path)
    cut = cut_all(clips, tmp_path, replace(FAST, preset="warpspeed"))[0]
    assert isinstance(cut.error, VideoError)
    assert cut.error.stage == "ffmpeg"
    assert "warpspeed" in cut.error.reason or "preset" in cut.error.reason.lower()
    assert not clips[0].path.exists()


@pytest.mark.slow
@pytest.mark.posix
def test_a_killed_run_leaves_no_half_clip_and_goes_on(tmp_path):
    """kill -9 at several moments; what stands under a clip's name is whole, and the last run completes the rest."""
    path = write_video(tmp_path / "Match.mp4", frames=1500)
    out = tmp_path / "out"
    script = Path(__file__).parents[3] / "scripts" / "cut_clips.py"
    call = [sys.executable, str(script), str(path), "--every", "2", "--out", str(out), "--preset", "medium"]
    seen = []
    for moment in (0, 3, 9):
        process = subprocess.Popen(call, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        deadline = time.monotonic() + 60
        while len(list(out.glob("*.mp4"))) <= moment and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        seen.append(len(list(out.glob("*.mp4"))))
        for clip in out.glob("*.mp4"):
            assert len(numbers(clip)) == 50
    assert seen[0] < 30
    done = subprocess.run(call, capture_output=True, text=True, check=True)
    assert f"{seen[-1]} there already" in done.stdout
    clips = sorted(out.glob("*.mp4"))
    assert [number for clip in clips for number in numbers(clip)] == list(range(1500))
    assert sorted(entry.name for entry in out.iterdir() if entry.suffix != ".mp4") == ["clips.csv"]


def test_stopping_early_kills_ffmpeg_and_cleans_up(recordings, tmp_path):
    recording = open_recording(recordings["h264_mp4"])
    segments = [Segment(recording.path, *piece) for piece in equal_pieces(recording.duration, 0.5)]
    clips = plan_clips(recording, segments, tmp_path)
    claim(clips, str(FAST))
    cutting = cut_clips(clips, tmp_path, FAST)
    next(cutting)
    cutting.close()
    assert all(entry.suffix in (".mp4", ".csv") for entry in tmp_path.iterdir())
    assert all(len(numbers(clip.path)) == clip.frames for clip in clips if clip.path.exists())


def test_encodings_that_cannot_be():
    with pytest.raises(UserError, match="even numbers"):
        Encoding(size=(321, 240))
    with pytest.raises(UserError, match="frames per second"):
        Encoding(fps=0)
    with pytest.raises(UserError, match="quality 99"):
        Encoding(quality=99)


ODD = Path(__file__).parents[4] / "shared" / "videos" / "odd"


@pytest.mark.skipif(not ODD.is_dir(), reason="the folder of odd videos is not there")
@pytest.mark.parametrize("name", ["video_90.mov", "video_180.mov", "video_270.mov", "nasa_13013_rotated.mp4"])
def test_turned_recordings_become_upright_clips(name, tmp_path):
    recording = open_recording(ODD / name)
    clips = plan_clips(recording, [Segment(ODD / name, 0, recording.duration)], tmp_path)
    assert [cut.error for cut in cut_all(clips, tmp_path)] == [None]
    with open_video(ODD / name) as video:
        before = next(video.frames([1])).image.astype(int)
    with open_video(clips[0].path) as video:
        after = next(video.frames([1])).image.astype(int)
        _, _, frame = next(video.decoded())
    assert frame.rotation == 0
    assert before.shape == after.shape
    assert np.abs(before - after).mean() < 6
