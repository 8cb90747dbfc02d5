"""The output has the frames of the input: their number, order, size and times."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.inference.classifier import Classifier
from pipeline.inference.drawing.render import is_uneven, render_video
from pipeline.videos.media import open_video
from tests.inference.conftest import write_untrained
from tests.media import read_number, uneven_times, write_video

ODD = Path(__file__).parents[4] / "shared" / "videos" / "odd"


@pytest.fixture(scope="module")
def untrained(tmp_path_factory) -> Classifier:
    folder = write_untrained(tmp_path_factory.mktemp("checkpoint") / "untrained", "fps:5", length=4)
    return Classifier.load(folder, precision="float32")


def numbers(path: Path) -> list[int]:
    with open_video(path) as video:
        return [read_number(frame.image) for frame in video]


@pytest.mark.parametrize(
    ("kind", "output"),
    [("h264_mp4", "out.avi"), ("h264_vfr_mp4", "out.avi"), ("h264_vfr_mp4", "out.mp4"), ("vp9_webm", "out.mp4")]
    + [
        pytest.param(kind, output, marks=pytest.mark.slow)
        for kind in ("mpeg2_ts", "mjpeg_avi", "hevc_mp4", "mpeg4_avi", "h264_mkv")
        for output in ("out.avi", "out.mp4")
    ],
)
def test_frames_size_and_times(untrained, tmp_path, kind, output):
    source = write_video(tmp_path / "in", kind, frames=45, size=(192, 160))
    prediction = untrained.classify(source)
    written, notes = render_video(prediction, tmp_path / output, style="none")
    assert written == 45
    assert numbers(tmp_path / output) == list(range(45))
    with open_video(source) as before, open_video(tmp_path / output) as after:
        assert (after.info().width, after.info().height) == (192, 160)
        assert after.info().fps == pytest.approx(before.info().fps, rel=0.01)
        if output.endswith("mp4"):
            np.testing.assert_allclose(after.times(), before.times(), atol=1e-3)
    assert bool(notes) == (kind == "h264_vfr_mp4" and output == "out.avi")


@pytest.mark.parametrize("style", ["bars", "scores", "plain"])
def test_the_drawing_is_where_it_belongs(untrained, tmp_path, style):
    source = write_video(tmp_path / "in.mp4", frames=20, size=(320, 240))
    prediction = untrained.classify(source)
    render_video(prediction, tmp_path / "drawn.mp4", style=style)
    render_video(prediction, tmp_path / "clean.mp4", style="none")
    with open_video(tmp_path / "drawn.mp4") as drawn, open_video(tmp_path / "clean.mp4") as clean:
        for one, other in zip(drawn, clean, strict=True):
            changed = np.abs(one.image.astype(int) - other.image).max(axis=2) > 60
            assert changed[:80, :120].mean() > 0.03
            assert changed[140:220].mean() < 0.01
            assert (changed[235:].mean() > 0.5) == (style == "bars")


def test_another_frame_rate(untrained, tmp_path):
    source = write_video(tmp_path / "in.mp4", frames=30, fps=25, sound=True)
    prediction = untrained.classify(source)
    render_video(prediction, tmp_path / "slow.avi", fps=15, style="none")
    render_video(prediction, tmp_path / "same.mp4", style="none")
    with open_video(tmp_path / "slow.avi") as slow, open_video(tmp_path / "same.mp4") as same:
        assert slow.info().fps == pytest.approx(15)
        assert slow.info().frames == 30
        assert not slow.has_sound
        assert same.has_sound


def test_a_clip_cut_off_in_the_middle(untrained, tmp_path):
    """Fewer frames than the header says: those that are there come out."""
    source = write_video(tmp_path / "in.avi", "mpeg4_avi", frames=60)
    data = source.read_bytes()
    source.write_bytes(data[: len(data) // 2])
    prediction = untrained.classify(source)
    written, _ = render_video(prediction, tmp_path / "out.avi", style="none")
    assert 5 < written < 60
    # The last packet is cut in two, and its image is what the decoder makes of one half.
    assert numbers(tmp_path / "out.avi")[:-1] == list(range(written - 1))
    assert len(prediction.labels) == written


@pytest.mark.skipif(not ODD.is_dir(), reason="needs ../shared/videos")
@pytest.mark.parametrize(
    "name", ["nasa_13013_rotated.mp4", "testsrc2_odd_dims_10bit.mp4", "var_fps_video.mp4", "corrupted.mp4"]
)
@pytest.mark.parametrize("output", [pytest.param("out.avi", marks=pytest.mark.slow), "out.mp4"])
def test_odd_files_keep_frames_and_size(untrained, tmp_path, name, output):
    prediction = untrained.classify(ODD / name)
    written, _ = render_video(prediction, tmp_path / output)
    with open_video(ODD / name) as before, open_video(tmp_path / output) as after:
        assert written == after.info().frames == sum(1 for _ in before)
        assert (after.info().width, after.info().height) == (before.info().width, before.info().height)
        if output == "out.mp4":
            np.testing.assert_allclose(after.times(), [frame.time for frame in before], atol=1e-3)


def test_what_is_uneven():
    assert not is_uneven(np.arange(100) / 25)
    assert not is_uneven(np.round(np.arange(100) / 29.97, 3))  # milliseconds, as in Matroska
    assert is_uneven(np.array(uneven_times(100)))
    assert not is_uneven(np.array([0.0]))


def test_an_output_that_cannot_be_written(untrained, tmp_path):
    source = write_video(tmp_path / "in.mp4", frames=5)
    prediction = untrained.classify(source)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is not a folder"):
        render_video(prediction, tmp_path / "file" / "out.avi")
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["file", "in.mp4"]


@pytest.mark.parametrize("output", ["out.avi", "out.mp4"])
def test_a_stop_leaves_nothing(untrained, tmp_path, output):
    source = write_video(tmp_path / "in.mp4", frames=60, sound=True)
    prediction = untrained.classify(source)
    (tmp_path / output).write_bytes(b"old")

    def stop(done: int, total: int) -> None:
        if done == 30:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        render_video(prediction, tmp_path / output, show=stop)
    assert (tmp_path / output).read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == sorted(["in.mp4", output])
