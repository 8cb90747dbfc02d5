"""What the network sees in a file or a stream is what it saw in training, whatever the recipe's input."""

from __future__ import annotations

import numpy as np

from pipeline.extraction.backbones import Backbone
from pipeline.extraction.decoding import DecoderPool, Frames
from pipeline.extraction.recipe import Recipe
from pipeline.extraction.weights import WeightsSource
from pipeline.inference.classifier import Classifier, Reading
from pipeline.training.checkpoint import Checkpoint
from pipeline.videos.reader import open_video
from tests.media import write_video


class Recording:
    """A backbone that notes the pictures it sees."""

    def __init__(self, backbone) -> None:
        self._backbone = backbone
        self.pictures: list[np.ndarray] = []

    def __getattr__(self, name):
        return getattr(self._backbone, name)

    def __call__(self, images):
        self.pictures += list(images)
        return self._backbone(images)


def test_motion_in_training_in_a_file_and_live(make_checkpoint, tmp_path):
    movie = write_video(tmp_path / "a.mp4", frames=30, fps=10, size=(96, 64))
    backbone = Backbone("tiny", weights=WeightsSource("random"), size=(32, 32), batch=1)
    recipe = Recipe("every:3", "tiny", backbone.digest, 32, 32, input="farneback")
    checkpoint = Checkpoint.load(make_checkpoint(recipe=recipe, length=4, size=32))

    with DecoderPool([("a", movie)], recipe, workers=1, timeout=60) as pool:
        trained = [message[1].images for message in pool.messages(1) if message and isinstance(message[1], Frames)]
    pictures = np.concatenate(trained)

    def recorded() -> Classifier:
        return Classifier(checkpoint, Recording(backbone))  # type: ignore[arg-type]

    file = recorded()
    file.classify(movie, Reading(stride=1))
    np.testing.assert_array_equal(np.stack(file.backbone.pictures), pictures)

    live = recorded()
    with open_video(movie) as video:
        moments = list(live.stream(video, Reading(stride=1)))
    # The first frame's motion is known when the second has come, so its step is that one; all others come at once.
    assert [moment.frame.index for moment in moments if moment.fresh] == [1, *range(3, 30, 3)]
    np.testing.assert_array_equal(np.stack(live.backbone.pictures), pictures)

    dropping = recorded()
    with open_video(movie) as video:
        kept = [frame for frame in video if frame.index not in (5, 14, 15)]
    moments = list(dropping.stream(iter(kept), Reading(stride=1)))
    assert [moment.frame.index for moment in moments if moment.fresh] == [1, 3, 7, 9, 12, 17, 18, 21, 24, 27]
