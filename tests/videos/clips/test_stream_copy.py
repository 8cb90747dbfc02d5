"""Copied clips hold exactly the frames that were announced."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import VideoError
from pipeline.videos.clips.cut import claim
from pipeline.videos.clips.plan import equal_pieces, open_recording, plan_clips
from pipeline.videos.clips.stream_copy import SETTINGS, copy_clips, snap
from pipeline.videos.labels.segments import Segment
from pipeline.videos.media import open_video
from tests.media import read_number, write_video

KINDS = (
    "h264_mp4",
    "h264_mkv",
    "h264_vfr_mp4",
    "hevc_mp4",
    "mpeg2_ts",
    "h264_ts",
    "mpeg4_avi",
    "mjpeg_avi",
    "vp9_webm",
)


@pytest.mark.parametrize("kind", KINDS)
def test_copies_are_what_was_announced(kind, tmp_path):
    path = write_video(tmp_path / "in" / kind, kind, frames=120)
    recording = open_recording(path)
    rng = np.random.default_rng(1)
    pairs = [np.sort(rng.uniform(0, recording.duration, 2)) for _ in range(8)]
    segments = [Segment(path, float(start), float(end) + 0.2) for start, end in pairs]
    segments += [Segment(path, *piece) for piece in equal_pieces(recording.duration, 2)]
    planned = plan_clips(recording, segments, tmp_path / "out", clamp=True)
    snapped = [snap(clip) for clip in planned]
    clips = [clip for clip, _ in snapped]
    claim(clips, SETTINGS)
    assert [cut.error for cut in copy_clips(clips, tmp_path / "out")] == [None] * len(clips)
    for asked, (clip, miss) in zip(planned, snapped, strict=True):
        assert clip.first <= asked.first < asked.end <= clip.end
        assert miss.early == pytest.approx(recording.time_of(asked.first) - recording.time_of(clip.first))
        assert 0 <= miss.late < 0.5
        with open_video(clip.path) as video:
            assert [read_number(frame.image) for frame in video] == list(range(clip.first, clip.end))
            times = recording.times[clip.first : clip.end]
            assert np.allclose(video.times(), times - times[0], atol=2e-3)


def test_sound_is_copied_too(tmp_path):
    path = write_video(tmp_path / "in.mp4", frames=150, sound=True)
    clip, _ = snap(plan_clips(open_recording(path), [Segment(path, 1.5, 4)], tmp_path / "out")[0])
    claim([clip], SETTINGS)
    assert [cut.error for cut in copy_clips([clip], tmp_path / "out")] == [None]
    with open_video(clip.path) as video:
        sound = video._container.streams.audio[0]
        assert float(sound.duration * sound.time_base) == pytest.approx(clip.end_time - clip.start_time, abs=0.1)


def test_frames_that_packets_do_not_tell_are_not_copied(tmp_path):
    path = write_video(tmp_path / "in", "vp8_webm", frames=60)
    with pytest.raises(VideoError, match="encode its clips"):
        snap(plan_clips(open_recording(path), [Segment(path, 0.5, 1)], tmp_path)[0])


def test_packets_that_fit_no_such_file_are_a_reason(tmp_path):
    path = write_video(tmp_path / "in.mkv", "ffv1_mkv", frames=10)
    clip, _ = snap(plan_clips(open_recording(path), [Segment(path, 0, 0.2)], tmp_path / "out")[0])
    odd = type(clip)(clip.recording, clip.first, clip.end, Path(clip.path.with_suffix(".webm")), clip.group)
    claim([odd], SETTINGS)
    error = next(copy_clips([odd], tmp_path / "out")).error
    assert error is not None
    assert "cannot take these packets" in error.reason
    assert not odd.path.exists()
