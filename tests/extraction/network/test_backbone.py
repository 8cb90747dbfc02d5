from __future__ import annotations

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.extraction.network.backbone import Backbone
from pipeline.extraction.network.openvino_backbone import OpenVinoBackbone
from pipeline.extraction.network.registry import NETWORKS, find_network
from pipeline.extraction.network.weights import WeightsSource
from pipeline.parallel.pipelined import pipelined

RANDOM = WeightsSource("random")


def pictures(count: int, side: int = 32) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def by(engine: str, batch: int) -> Backbone | OpenVinoBackbone:
    """The small network, by an engine."""
    backbone = Backbone("tiny", weights=RANDOM, batch=batch)
    return backbone if engine == "keras" else OpenVinoBackbone.of(backbone, batch=batch)


def test_features_do_not_depend_on_the_batch():
    images = pictures(9)
    small = Backbone("tiny", weights=RANDOM, batch=1)(images)
    large = Backbone("tiny", weights=RANDOM, batch=64)(images)
    assert small.shape == (9, 64)
    assert small.dtype == np.float32
    np.testing.assert_allclose(small, large, atol=1e-6)


@pytest.mark.parametrize("engine", ["keras", "openvino"])
def test_any_number_of_pictures_gives_the_features_of_each(engine):
    if engine == "openvino":
        pytest.importorskip("openvino")
    backbone = by(engine, 6)
    images = pictures(13)
    alone = np.concatenate([backbone(image[None]) for image in images])
    for count in range(14):
        features = backbone(images[:count])
        assert features.shape == (count, 64)
        np.testing.assert_allclose(features, alone[:count], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("engine", ["keras", "openvino"])
def test_calls_at_the_same_time_do_not_mix(engine):
    if engine == "openvino":
        pytest.importorskip("openvino")
    backbone = by(engine, 4)
    batches = [np.random.default_rng(seed).integers(0, 256, (4, 32, 32, 3), np.uint8) for seed in range(12)]
    expected = [backbone(batch) for batch in batches]
    for found, right in zip(pipelined(backbone, batches, backbone.concurrent_calls), expected, strict=True):
        np.testing.assert_array_equal(found, right)


def test_random_weights_follow_the_seed_only():
    one, same, other = (Backbone("tiny", weights=WeightsSource(text)) for text in ("random", "random:0", "random:1"))
    assert one.digest == same.digest != other.digest
    # Made with NumPy, so the same on every machine and Keras backend.
    assert one.digest.startswith("c4eb556de6f8")


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_lower_precision_stays_close(precision):
    exact = Backbone("tiny", weights=RANDOM)(pictures(8))
    coarse = Backbone("tiny", weights=RANDOM, precision=precision)(pictures(8))
    assert coarse.dtype == np.float32
    assert not np.array_equal(exact, coarse)
    cosine = (exact * coarse).sum(1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(coarse, axis=1)
    assert cosine.min() > 0.999


def test_lower_precision_of_a_backbone_does_not_spread_to_other_models():
    """TensorFlow's option for it is global; a head compiled afterwards must not be touched by it."""
    tf = pytest.importorskip("tensorflow")
    Backbone("tiny", weights=RANDOM, precision="bfloat16")(pictures(2))
    left, right = (np.random.default_rng(seed).standard_normal((256, 256), np.float32) for seed in (0, 1))
    product = tf.function(tf.matmul)(left, right).numpy()
    np.testing.assert_allclose(product, left @ right, atol=1e-3)


def test_a_file_of_weights_and_their_source_are_one(tmp_path):
    made = Backbone("tiny", weights=RANDOM)
    path = tmp_path / "tiny.weights.h5"
    made.model.save_weights(path)
    assert Backbone("tiny", weights=WeightsSource(str(path))).digest == made.digest


def test_weights_of_another_network_are_refused(tmp_path):
    path = tmp_path / "tiny.weights.h5"
    Backbone("tiny", weights=RANDOM).model.save_weights(path)
    with pytest.raises(UserError, match="not weights of mobilenet"):
        Backbone("mobilenet", weights=WeightsSource(str(path)), size=(32, 32))


def test_a_saved_file_gives_the_same_digest_and_features(tmp_path):
    path = tmp_path / "small.weights.h5"
    made = Backbone("mobilenet", weights=WeightsSource("random:5"), size=(32, 32), batch=2)
    made.model.save_weights(path)
    loaded = Backbone("mobilenet", weights=WeightsSource(str(path)), size=(32, 32), batch=2)
    assert loaded.digest == made.digest
    np.testing.assert_allclose(loaded(pictures(3)), made(pictures(3)), atol=1e-6)


def test_pooling_by_the_maximum_is_another_feature_of_the_same_weights():
    mean, most = (Backbone("tiny", weights=RANDOM, layer=layer) for layer in ("avg_pool", "max_pool"))
    images = pictures(3)
    assert mean.digest == most.digest
    assert np.all(most(images) >= mean(images) - 1e-6)
    assert np.any(most(images) > mean(images) + 1e-3)


@pytest.mark.slow
def test_each_network_has_its_own_preprocessing():
    import keras

    images = pictures(2)
    backbone = Backbone("resnet50", weights=RANDOM, size=(32, 32), batch=2)
    scaled = keras.applications.resnet.preprocess_input(images.astype(np.float32))
    expected = backbone.model(scaled, training=False).numpy()
    np.testing.assert_allclose(backbone(images), expected, atol=1e-5 * expected.max())


@pytest.mark.parametrize("name", ["InceptionV3", "inception_v3", "inception-v3"])
def test_names_are_found_in_any_spelling(name):
    assert find_network(name) is NETWORKS["inceptionv3"]


def test_every_listed_network_exists_in_keras():
    import keras

    for network in NETWORKS.values():
        if network.constructor:
            assert hasattr(keras.applications, network.constructor)
            assert hasattr(getattr(keras.applications, network.module), "preprocess_input")


@pytest.mark.parametrize(
    ("name", "weights", "size", "line"),
    [
        ("nope", "random", None, "backbone 'nope' is unknown; expected one of inceptionv3"),
        ("inceptionv3", "random", (10, 10), "size 10x10 is too small for inceptionv3: each side needs at least 75"),
        ("tiny", "missing.h5", None, "there is no such file; expected 'imagenet'"),
        ("tiny", "random:x", None, "the seed 'x' is not a whole number"),
        ("tiny", "imagenet", None, "backbone tiny has no ImageNet weights; add `weights=random`"),
    ],
)
def test_bad_choices_are_one_line(name, weights, size, line):
    with pytest.raises(UserError) as caught:
        Backbone(name, weights=WeightsSource(weights), size=size)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_damaged_weights_file_is_refused(tmp_path):
    path = tmp_path / "bad.weights.h5"
    path.write_bytes(b"not HDF5" * 100)
    with pytest.raises(UserError, match="the file cannot be read"):
        Backbone("mobilenet", weights=WeightsSource(str(path)), size=(32, 32))
