"""What the networks see in a file or a stream is what they saw in training: colours, motion, or both side by side."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.extraction.features.decode_task import DecodeSpec, Images, decode_videos
from pipeline.extraction.network.backbone import Backbone
from pipeline.extraction.network.weights import WeightsSource
from pipeline.extraction.recipe import Recipe
from pipeline.extraction.store.feature_source import FeatureSource
from pipeline.inference.classifier import Classifier
from pipeline.inference.classify_spec import ClassifySpec
from pipeline.inference.export.whole_chain import check_export
from pipeline.training.checkpoint import Checkpoint
from pipeline.videos.media import open_video
from pipeline.videos.media.sampling import Sampling
from tests.media import write_video


class Recording:
    """A backbone that notes the images it sees."""

    def __init__(self, backbone) -> None:
        self._backbone = backbone
        self.pictures: list[np.ndarray] = []

    def __getattr__(self, name):
        return getattr(self._backbone, name)

    def __call__(self, images):
        self.pictures += list(images)
        return self._backbone(images)


@pytest.mark.slow
def test_both_streams_in_training_in_a_file_and_live(make_checkpoint, tmp_path):
    movie = write_video(tmp_path / "a.mp4", frames=30, fps=10, size=(96, 64))
    backbone = Backbone("tiny", weights=WeightsSource("random"), size=(32, 32), batch=1)
    colours = Recipe("every:3", "tiny", backbone.digest, 32, 32)
    motion = replace(colours, input="farneback")
    sources = FeatureSource(colours, "random:0"), FeatureSource(motion, "random:0")
    folder = make_checkpoint(sources=sources, length=4, size=32, shape=(128,))
    checkpoint = Checkpoint.load(folder)

    trained = []
    for recipe in (colours, motion):
        with decode_videos([("a", movie, Sampling.parse(recipe.sampling))], DecodeSpec((recipe,)), workers=1) as pool:
            messages = [message for _, message in pool.messages()]
        trained.append(np.concatenate([message.images[0] for message in messages if isinstance(message, Images)]))
    assert not np.array_equal(*trained)
    features = np.concatenate([backbone(pictures) for pictures in trained], axis=-1)

    def recorded() -> Classifier:
        return Classifier(checkpoint, Recording(backbone), Recording(backbone))  # type: ignore[arg-type]

    def seen(classifier: Classifier) -> list[np.ndarray]:
        return [np.stack(network.pictures) for network in classifier._networks]

    file = recorded()
    prediction = file.classify(movie, ClassifySpec(stride=1))
    np.testing.assert_array_equal(seen(file), trained)
    last = checkpoint.predict(features[None, -4:], np.ones((1, 4), bool))
    np.testing.assert_allclose(prediction.windows[-1], last[0], atol=1e-5)

    live = recorded()
    with open_video(movie) as video:
        moments = list(live.stream(video, ClassifySpec(stride=1)))
    # The first frame's motion is known when the second has come, so its step is that one; all others come at once.
    assert [moment.frame.index for moment in moments if moment.fresh] == [1, *range(3, 30, 3)]
    np.testing.assert_array_equal(seen(live)[1], trained[1])
    np.testing.assert_array_equal(seen(live)[0][1:], trained[0][1:])
    np.testing.assert_allclose(moments[-1].probabilities, last[0], atol=1e-5)

    dropping = recorded()
    with open_video(movie) as video:
        kept = [frame for frame in video if frame.index not in (5, 14, 15)]
    moments = list(dropping.stream(iter(kept), ClassifySpec(stride=1)))
    assert [moment.frame.index for moment in moments if moment.fresh] == [1, 3, 7, 9, 12, 17, 18, 21, 24, 27]

    shared = Classifier.load(folder, precision="float32")
    assert shared._networks[0] is shared._networks[1]  # one network in memory for both
    np.testing.assert_allclose(shared.classify(movie, ClassifySpec(stride=1)).windows, prediction.windows, atol=1e-5)
    with pytest.raises(UserError, match="sees two streams"):
        check_export(tmp_path / "model", checkpoint)
    with pytest.raises(UserError, match=r"sees motion \(farneback\)"):
        check_export(tmp_path / "model", replace(checkpoint, sources=sources[1:]))
