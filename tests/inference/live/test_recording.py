"""What is seen live is written: as long as it lasted, whatever the format, and kept by Ctrl-C."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.inference.live.recording import LiveRecording
from pipeline.videos.media import open_video
from tests.media import draw_number, read_number


def image(number: int, width: int = 160, height: int = 120) -> np.ndarray:
    return draw_number(number, width=width, height=height)


def numbers(path) -> list[int]:
    with open_video(path) as video:
        return [read_number(frame.image) for frame in video]


def test_a_format_with_one_rate_gets_each_frame_as_long_as_it_was_seen(tmp_path):
    with LiveRecording(tmp_path / "out.avi", codec="mjpg") as recording:
        for number, time in enumerate((0.0, 0.1, 0.11, 0.4)):
            recording.add(image(number), time)
    with open_video(tmp_path / "out.avi") as video:
        assert (video.info().codec, video.info().fps) == ("mjpeg", pytest.approx(30))
    assert numbers(tmp_path / "out.avi") == [0, *[1] * 3, *[3] * 9]


def test_a_format_with_times_keeps_each_frame_once_and_goes_on_after_a_break(tmp_path):
    times = (0.0, 0.1, 0.5, 0.0, 0.2)
    with LiveRecording(tmp_path / "out.mp4") as recording:
        for number, time in enumerate(times):
            recording.add(image(number) if number < 3 else image(number, 320, 240), time)
    with open_video(tmp_path / "out.mp4") as video:
        np.testing.assert_allclose(video.times(), [0, 0.1, 0.5, 0.5, 0.7], atol=1e-3)
        assert (video.info().width, video.info().height) == (160, 120)
    assert numbers(tmp_path / "out.mp4") == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("error", "kept"), [(KeyboardInterrupt, True), (ValueError, False)])
def test_ctrl_c_keeps_what_was_written(tmp_path, error, kept):
    with pytest.raises(error), LiveRecording(tmp_path / "out.avi") as recording:  # noqa: PT012
        recording.add(image(1), 0.0)
        raise error
    assert [path.name for path in tmp_path.iterdir()] == (["out.avi"] if kept else [])


def test_without_a_frame_there_is_no_file(tmp_path):
    with LiveRecording(tmp_path / "out.avi") as recording:
        assert recording.frames == 0
    assert list(tmp_path.iterdir()) == []
