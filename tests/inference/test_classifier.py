"""A checkpoint applied to videos: the same features as in training, the right labels, the right refusals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import UserError, VideoError
from pipeline.extraction.recipe import Recipe
from pipeline.extraction.store.feature_source import FeatureSource
from pipeline.extraction.store.store import FeatureStore
from pipeline.inference.classifier import Classifier
from pipeline.inference.classify_spec import ClassifySpec
from pipeline.inference.timeline.smoothing import UNKNOWN, Smoothing
from pipeline.inference.timeline.window_runner import WindowRunner
from pipeline.training.data.time_scale import TimeScale
from pipeline.videos.catalog.catalog import open_catalog
from pipeline.videos.media import open_video
from tests.inference.conftest import CLASSES, FPS, write_pieces
from tests.media import write_video

ODD = Path(__file__).parents[3] / "shared" / "videos" / "odd"


class Recording:
    """A backbone that notes how often it saw each image."""

    def __init__(self, backbone) -> None:
        self._backbone = backbone
        self.seen: list[bytes] = []
        self.features: list[np.ndarray] = []

    def __getattr__(self, name):
        return getattr(self._backbone, name)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        self.seen += [image.tobytes() for image in images]
        self.features.append(self._backbone(images))
        return self.features[-1]


def test_features_are_those_of_the_training(classifier, clips, store):
    """The clips of the store, read again by inference, give its features: same frames, same images, same network."""
    known = FeatureStore(store)
    recording = Recording(classifier.backbone)
    same = Classifier(classifier.checkpoint, recording)
    for video in open_catalog(clips).videos[::5]:
        recording.features = []
        prediction = same.classify(video.path)
        sequence = known.read(video.name)
        np.testing.assert_array_equal(prediction.grid.frames, sequence.frames)
        np.testing.assert_allclose(np.concatenate(recording.features), sequence.features, rtol=1e-5, atol=1e-5)
        expected = classifier.checkpoint.predict(sequence.features[None], np.ones((1, 8), bool))
        np.testing.assert_allclose(prediction.windows, expected, atol=1e-5)
        np.testing.assert_allclose(prediction.mean, expected[0], atol=1e-5)
        assert prediction.label == video.label


def test_each_frame_goes_through_the_network_once(classifier, tmp_path):
    video = write_pieces(tmp_path / "long.mp4", [(0, 60), (2, 60)])
    recording = Recording(classifier.backbone)
    dense = Classifier(classifier.checkpoint, recording).classify(video, ClassifySpec(stride=1))
    assert len(recording.seen) == len(dense.grid.frames) == len(set(recording.seen))
    assert len(dense.windows) == len(dense.grid.frames) - 7


def test_batch_size_changes_nothing(checkpoint, classifier, tmp_path):
    video = write_pieces(tmp_path / "long.mp4", [(0, 50), (1, 37)])
    other = Classifier.load(checkpoint, precision="float32", batch=3)
    np.testing.assert_allclose(other.classify(video).windows, classifier.classify(video).windows, atol=1e-5)


def test_known_pieces(classifier, tmp_path):
    """Three classes with hard cuts: borders within half a window, and 95 % of the frames right after smoothing."""
    pieces = [(0, 70), (1, 45), (2, 90), (0, 30), (1, 60)]
    video = write_pieces(tmp_path / "pieces.mp4", pieces)
    truth = np.repeat([label for label, _ in pieces], [frames for _, frames in pieces])
    prediction = classifier.classify(video, ClassifySpec(stride=1, smoothing=Smoothing("centred", 5), min_duration=1.0))
    assert (prediction.labels == truth).mean() >= 0.95
    assert [segment.label for segment in prediction.segments] == [CLASSES[label] for label, _ in pieces]
    borders = np.cumsum([frames for _, frames in pieces])[:-1] / FPS
    half = classifier.checkpoint.time_scale.median / 2
    assert np.abs([segment.start for segment in prediction.segments][1:] - borders).max() <= half
    assert prediction.segments[0].start == 0
    assert prediction.segments[-1].end == pytest.approx(prediction.info.duration)
    assert prediction.probabilities.shape == (295, 3)
    np.testing.assert_allclose(prediction.probabilities.sum(axis=1), 1, atol=1e-4)
    assert "295 frames" in repr(prediction)


def test_abstaining_says_unknown(classifier, tmp_path):
    video = write_pieces(tmp_path / "a.mp4", [(0, 20)])
    prediction = classifier.classify(video, ClassifySpec(abstain_below=1.0))
    assert set(prediction.labels.tolist()) == {UNKNOWN}
    assert [segment.label for segment in prediction.segments] == ["unknown"]
    assert (prediction.label, prediction.best) == ("unknown", "Blue")


def test_a_video_shorter_than_the_window(classifier, tmp_path):
    video = write_pieces(tmp_path / "a.mp4", [(2, 3)])
    prediction = classifier.classify(video)
    assert len(prediction.windows) == 1
    assert "shorter than any training clip" in prediction.grid.note
    one = classifier.classify(write_pieces(tmp_path / "b.mp4", [(2, 1)]))
    assert len(one.labels) == 1


def test_progress_is_told(classifier, tmp_path):
    video = write_pieces(tmp_path / "a.mp4", [(0, 100)])
    told = []
    prediction = classifier.classify(video, show=lambda done, total: told.append((done, total)))
    steps = len(prediction.grid.frames)
    assert told[-1] == (steps, steps)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_memory_is_that_of_one_window(make_checkpoint, tmp_path, monkeypatch):
    """However long the video, only the features of open windows are kept."""
    video = write_video(tmp_path / "a.mp4", frames=400, size=(32, 32))
    classifier = Classifier.load(make_checkpoint("all", length=8), precision="float32", batch=16)
    kept = []
    push = WindowRunner.push

    def spy(self, features):
        push(self, features)
        kept.append(len(self._features))

    monkeypatch.setattr(WindowRunner, "push", spy)
    assert len(classifier.classify(video, ClassifySpec(stride=1)).windows) == 393
    assert max(kept) <= 8 + 16


def test_a_damaged_stretch_is_left_out_as_in_training(make_checkpoint, tmp_path):
    """Rubbish in the middle of a file: frames that do not decode are neither waited for nor counted."""
    path = write_video(tmp_path / "a.mp4", frames=120)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = bytes(np.random.default_rng(0).integers(0, 256, 3000, np.uint8))
    path.write_bytes(data)
    classifier = Classifier.load(make_checkpoint("fps:10", length=4), precision="float32")
    prediction = classifier.classify(path)
    with open_video(path) as video:
        decoded = sum(1 for _ in video)
    assert 0 < decoded < 120
    assert len(prediction.times) == decoded
    assert len(prediction.windows) > 3


@pytest.mark.parametrize("sampling", ["uniform:6", "first:6", "every:2", "fps:4", "all"])
def test_every_recipe(make_checkpoint, tmp_path, sampling):
    video = write_video(tmp_path / "a.mp4", frames=60, size=(48, 32))
    classifier = Classifier.load(make_checkpoint(sampling, length=6, time_scale=TimeScale(1, 0.8, 1.2, 0.04)))
    prediction = classifier.classify(video)
    assert len(prediction.labels) == 60
    assert len(prediction.windows) > 1


# -- what is refused -------------------------------------------------------------------------------


def test_other_weights_are_refused(checkpoint):
    with pytest.raises(UserError, match=r"other weights \(digest [0-9a-f]{12}…, these have [0-9a-f]{12}…\)"):
        Classifier.load(checkpoint, weights="random:1")


def test_the_precision_is_told(make_checkpoint):
    trained = Classifier.load(make_checkpoint(versions={"precision": "bfloat16"}), precision="float32")
    assert trained.precision_note == "the features are computed in float32; those of the training were in bfloat16"
    same = Classifier.load(make_checkpoint(versions={"precision": "float32"}))  # whatever is fastest here
    assert same.backbone.precision == "float32"
    assert same.precision_note == ""


def test_imported_features_are_refused(make_checkpoint):
    folder = make_checkpoint()
    content = json.loads((folder / "checkpoint.json").read_text())
    content["recipe"] |= {"backbone": "imported", "weights_digest": "", "height": 1, "width": 1}
    (folder / "checkpoint.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match="was trained on imported features"):
        Classifier.load(folder)


def test_a_newer_checkpoint_is_refused(make_checkpoint):
    folder = make_checkpoint()
    content = json.loads((folder / "checkpoint.json").read_text())
    (folder / "checkpoint.json").write_text(json.dumps(content | {"format": 99}))
    with pytest.raises(UserError, match="checkpoint format 99"):
        Classifier.load(folder)


def test_weights_that_are_gone(make_checkpoint):
    gone = FeatureSource(Recipe("all", "tiny", "0" * 64, 16, 16), "/gone/weights.h5")
    folder = make_checkpoint(sources=(gone,))
    with pytest.raises(UserError, match=r"came from /gone/weights\.h5, which is not there any more; name them by"):
        Classifier.load(folder)


def test_videos_that_cannot_be_read(classifier, tmp_path):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("no video")
    for name in ("empty.mp4", "text.mp4", "missing.mp4"):
        with pytest.raises(VideoError):
            classifier.classify(tmp_path / name)


@pytest.mark.parametrize(
    "wrong",
    [
        {"stride": 0},
        {"min_duration": -1},
        {"abstain_below": 2},
        {"abstain_below": -0.1},
        {"min_duration": float("nan")},
    ],
)
def test_impossible_readings(wrong):
    with pytest.raises(UserError, match="expected"):
        ClassifySpec(**wrong)


@pytest.mark.slow
@pytest.mark.skipif(not ODD.is_dir(), reason="needs ../shared/videos")
def test_odd_files_are_classified_or_refused(make_checkpoint):
    """Every unusual file gives a label for each of its frames, or one line."""
    classifier = Classifier.load(make_checkpoint("uniform:6", length=6), precision="float32")
    refused = []
    for path in sorted(ODD.iterdir()):
        try:
            prediction = classifier.classify(path)
        except VideoError:
            refused.append(path.name)
            continue
        with open_video(path) as video:
            assert len(prediction.labels) in (len(video.times()), sum(1 for _ in video))
    assert refused == ["zero_bytes.webm"]
