"""Frames one by one give what a file gives."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import UserError
from pipeline.inference.classifier import Classifier
from pipeline.inference.classify_spec import ClassifySpec
from pipeline.inference.live.live_steps import StepPicker
from pipeline.inference.timeline.smoothing import UNKNOWN, Smoothing
from pipeline.training.data.time_scale import TimeScale
from pipeline.videos.media import open_video
from pipeline.videos.media.reader import Frame
from pipeline.videos.media.sampling import Sampling
from tests.inference.conftest import CLASSES, write_pieces
from tests.media import write_video

NOTHING = np.zeros((1, 1, 3), np.uint8)


def frames_at(times) -> list[Frame]:
    return [Frame(number, float(time), NOTHING) for number, time in enumerate(times)]


@given(
    st.sampled_from(["fps:2", "fps:7.5", "fps:100", "every:1", "every:4", "all"]),
    st.lists(st.floats(0.005, 0.9), max_size=120),
)
def test_steps_are_those_of_the_sampling(text, gaps):
    """Of a stream with even times exactly the frames that the recipe picks of a file; else as many as can be known."""
    sampling = Sampling.parse(text)
    times = np.concatenate([[0.0], np.cumsum(gaps)])
    picker = StepPicker(sampling, TimeScale(3, 2, 4, 0.1))
    picked = [frame.index for frame in frames_at(times) if picker(frame)]
    assert picked[0] == 0
    if sampling.kind != "fps":
        assert picked == sampling.indices(times).tolist()
        return
    # A file's sampling knows the next frame and takes the one before a tick; live takes the first one after it.
    step = 1 / sampling.amount
    ticks = np.floor(times[picked] / step + 1e-3)
    assert np.all(np.diff(ticks) >= 1)
    for earlier, later in itertools.pairwise(picked):
        skipped = times[earlier + 1 : later]
        assert np.all(np.floor(skipped / step + 1e-3) == np.floor(times[earlier] / step + 1e-3))


def test_even_times_give_the_frames_of_a_file():
    times = np.arange(300) / 25
    picker = StepPicker(Sampling.parse("fps:5"), TimeScale(3, 2, 4, 0.2))
    assert [frame.index for frame in frames_at(times) if picker(frame)] == list(range(0, 300, 5))


@pytest.mark.parametrize(("rule", "step"), [("uniform:20", 2.96 / 19), ("inner:20", 2.96 / 21), ("stepped:20", 0.12)])
def test_a_recipe_by_count_keeps_the_step_of_the_training_clips(rule, step):
    picker = StepPicker(Sampling.parse(rule), TimeScale(3.0, 2, 4))
    times = np.arange(500) / 25
    picked = times[[frame.index for frame in frames_at(times) if picker(frame)]]
    assert len(picked) == pytest.approx(20 / step, abs=2)
    with pytest.raises(UserError, match="has no step of its own"):
        StepPicker(Sampling.parse("uniform:20"), TimeScale(0, 0, 0))


def test_a_stream_that_begins_anew():
    picker = StepPicker(Sampling.parse("fps:1"), TimeScale(3, 2, 4, 1))
    assert [picker(frame) for frame in frames_at([0, 0.5, 1.0])] == [True, False, True]
    assert [picker(frame) for frame in frames_at([0, 0.5, 1.0])] == [True, False, True]


def test_windows_are_those_of_the_file(make_checkpoint, tmp_path):
    """Full windows of the stream have the probabilities that the file's windows have."""
    movie = write_video(tmp_path / "a.mp4", frames=60, fps=10, size=(48, 32))
    folder = make_checkpoint("every:2", length=4)
    whole = Classifier.load(folder, precision="float32").classify(movie, ClassifySpec(stride=1))
    classifier = Classifier.load(folder, precision="float32", batch=1)
    with open_video(movie) as video:
        moments = list(classifier.stream(video, ClassifySpec(stride=1)))
    assert len(moments) == 60
    fresh = [moment for moment in moments if moment.fresh]
    assert [moment.frame.index for moment in fresh] == list(range(0, 60, 2))
    assert [moment.steps for moment in fresh[:5]] == [1, 2, 3, 4, 4]
    full = np.stack([moment.probabilities for moment in fresh if moment.steps == 4])
    np.testing.assert_allclose(full, whole.windows, atol=1e-5)


def test_labels_follow_the_pictures(checkpoint, tmp_path):
    movie = write_pieces(tmp_path / "a.mp4", [(0, 60), (2, 60)])
    classifier = Classifier.load(checkpoint, precision="float32", batch=1)
    with open_video(movie) as video:
        labels = [
            moment.label for moment in classifier.stream(video, ClassifySpec(stride=1, smoothing=Smoothing("mean", 2)))
        ]
    assert CLASSES[labels[55]] == "Blue"
    assert CLASSES[labels[-1]] == "Red"
    with open_video(movie) as video:
        assert {moment.label for moment in classifier.stream(video, ClassifySpec(abstain_below=1.0))} == {UNKNOWN}


def test_impossible_settings(checkpoint):
    classifier = Classifier.load(checkpoint, precision="float32", batch=1)
    with pytest.raises(UserError, match="looks ahead"):
        next(classifier.stream(frames_at([0]), ClassifySpec(smoothing=Smoothing("centred", 3))))
    with pytest.raises(UserError, match="`stride=50`"):
        next(classifier.stream(frames_at([0]), ClassifySpec(stride=50)))
    assert list(classifier.stream([])) == []
