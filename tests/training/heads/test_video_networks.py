"""Networks on frames: what stands in the padding never counts, and a padded window gives the same as a cropped one."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.training.compute.backend import compile_head
from pipeline.training.heads.registry import HEADS, build_model, check_input, head_spec
from pipeline.training.heads.spec import ALL_LAYERS, HeadSpec
from pipeline.training.heads.video_networks import base_of, set_trainable

LENGTH, SIDE, CLASSES = 6, 32, 3
NETWORKS = [name for name, head in HEADS.items() if head.needs == "frames"]


@pytest.fixture(scope="module")
def batch():
    """Frames with zeros as padding, and a mask with rows of 1 to LENGTH real steps."""
    random = np.random.default_rng(0)
    mask = np.arange(LENGTH) < np.array([1, 3, 5, LENGTH])[:, None]
    frames = random.integers(0, 256, (4, LENGTH, SIDE, SIDE, 3), np.uint8)
    frames[~mask] = 0
    return frames, mask


def small(name: str, **settings) -> HeadSpec:
    """A narrow network on the smallest base."""
    wanted = {"units": 8, "base": "tiny", "weights": "random", **settings}
    return head_spec(name, **{key: value for key, value in wanted.items() if key in HEADS[name].takes})


def model_of(spec: HeadSpec, length: int = LENGTH, **options) -> keras.Model:
    keras.utils.set_random_seed(0)
    return build_model(spec, length=length, shape=(SIDE, SIDE, 3), classes=CLASSES, **options)


SPECS = [
    *(pytest.param(small(name), id=name) for name in NETWORKS if name not in ("lrcn", "ecology-c3d-small")),
    pytest.param(small("timedistributed_convnet", cell="lstm"), id="timedistributed_convnet-lstm"),
    *(pytest.param(small("lrcn", cell=cell, layers=2), id=f"lrcn-{cell}") for cell in ("lstm", "rnn", "conv1d")),
]


@pytest.mark.parametrize("spec", SPECS)
def test_padding_does_not_count(spec, batch):
    frames, mask = batch
    model = model_of(spec)
    function = compile_head(model)
    expected = function(frames, mask)
    assert expected.shape == (4, CLASSES)
    assert np.ptp(expected, axis=0).max() > 1e-4, "the logits do not depend on the frames"

    junk = frames.copy()
    junk[~mask] = 200
    np.testing.assert_allclose(function(junk, mask), expected, atol=1e-5)
    if not HEADS[spec.name].any_length:
        return
    shorter = model_of(spec, 3)
    shorter.set_weights(model.get_weights())
    cropped = compile_head(shorter)(frames[1:2, :3], mask[1:2, :3])
    np.testing.assert_allclose(cropped[0], expected[1], atol=1e-4)


def test_the_published_small_c3d_is_as_published():
    """Six convolutions without padding on 16 frames of 112 pixels: 6 steps of 4 x 4 places are left, 256 wide."""
    model = build_model(head_spec("ecology-c3d-small"), length=16, shape=(112, 112, 3), classes=5)
    kernels = [tuple(weights.shape) for weights in model.trainable_variables if len(weights.shape) > 1]
    assert kernels == [
        *((3, 3, 3, 3, 32), (3, 3, 3, 32, 64), (3, 3, 3, 64, 128), (3, 3, 3, 128, 128)),
        *((2, 2, 2, 128, 256), (2, 2, 2, 256, 256)),
        *((6 * 4 * 4 * 256, 256), (256, 128), (128, 5)),
    ]
    small = build_model(head_spec("ecology-c3d-small"), length=11, shape=(54, 54, 3), classes=2)
    frames, mask = np.full((2, 11, 54, 54, 3), 90, np.uint8), np.arange(11) < np.array([[11], [4]])
    expected = compile_head(small)(frames, mask)
    frames[1, 4:] = 200
    np.testing.assert_allclose(compile_head(small)(frames, mask), expected, atol=1e-5)
    with pytest.raises(UserError, match="needs a `window` of 11 steps or more, not 10"):
        build_model(head_spec("ecology-c3d-small"), length=10, shape=(112, 112, 3), classes=2)


def test_batch_normalisation_does_not_see_padding(batch):
    frames, mask = batch
    model = model_of(head_spec("timedistributed_convnet", units=4, dropout=0.0))
    junk = np.where(mask[:, :, None, None, None], frames, 200).astype(np.uint8)
    expected, got = (np.asarray(model([x, mask], training=True)) for x in (frames, junk))
    np.testing.assert_allclose(got, expected, atol=1e-4)


@pytest.mark.parametrize(("trainable", "learning"), [(0, 0), (1, 0), (2, 2), (ALL_LAYERS, 6)])
def test_only_the_last_layers_of_a_base_learn(trainable, learning):
    base = base_of(model_of(small("lrcn", trainable=trainable)))
    assert base is not None
    assert len(base.trainable_variables) == learning  # the last layer pools and has no weights


def test_a_frozen_base_can_learn_later():
    base = base_of(model_of(small("lrcn", trainable=0)))
    assert base is not None
    for count, learning in ((2, 2), (0, 0), (ALL_LAYERS, 6), (3, 4)):
        set_trainable(base, count)
        assert len(base.trainable_variables) == learning


def test_a_frozen_base_keeps_its_batch_statistics(batch):
    model = model_of(small("image_cnn", base="mobilenetv2"))
    base = base_of(model)
    before = base.get_weights()
    model([*batch], training=True)
    for old, new in zip(before, base.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.slow
def test_pixels_are_scaled_as_the_base_expects(batch):
    from pipeline.extraction.network.backbone import Backbone
    from pipeline.extraction.network.weights import WeightsSource

    model = model_of(small("image_cnn", base="vgg16", weights="random:3"))
    backbone = Backbone("vgg16", weights=WeightsSource("random:3"), size=(SIDE, SIDE), batch=4)
    inner = keras.Model(model.inputs, _features_of(model))
    features, expected = np.asarray(inner([*batch], training=False))[:, 0], backbone(batch[0][:, 0])
    np.testing.assert_allclose(features, expected, rtol=1e-3, atol=1e-4 * expected.max())


def _features_of(model: keras.Model):
    """The output of the base, step by step."""
    dense = next(layer for layer in model.layers if isinstance(layer, keras.layers.Dense))
    return dense.input


def test_base_weights_are_those_that_are_named():
    one, same, other = (base_of(model_of(small("lrcn", weights=f"random:{seed}"))).get_weights() for seed in (1, 1, 2))
    np.testing.assert_array_equal(one[0], same[0])
    assert not np.array_equal(one[0], other[0])


def test_mixed_precision_answers_in_float32(batch):
    model = model_of(small("c3d_small"), policy="mixed_bfloat16")
    low = compile_head(model)(*batch)
    assert low.dtype == np.float32
    assert all(variable.dtype == "float32" for variable in model.trainable_variables)
    full = model_of(small("c3d_small"))
    full.set_weights(model.get_weights())
    np.testing.assert_allclose(low, compile_head(full)(*batch), atol=0.05)


@pytest.mark.parametrize(
    ("name", "shape", "line"),
    [
        ("lrcn", (2048,), "head lrcn needs frames, and features/a holds features"),
        ("gru", (32, 32, 3), "head gru needs features, and features/a holds frames"),
        ("c3d", (8, 8, 3), "frames of 8x8 are too small for c3d: each side needs at least 16 pixels"),
    ],
)
def test_input_that_does_not_fit_is_one_line(name, shape, line):
    with pytest.raises(UserError, match=line):
        check_input(head_spec(name), shape, "features/a")


def test_frames_below_the_minimum_of_a_base():
    with pytest.raises(UserError, match="with the base inceptionv3: each side needs at least 75 pixels"):
        check_input(head_spec("lrcn", base="InceptionV3"), (64, 64, 3), "features/a")


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"base": "resnet51"}, "backbone 'resnet51' is unknown"),
        ({"cell": "tcn"}, "`cell='tcn'`: expected one of lstm, gru, rnn, conv1d"),
        ({"pooling": "mean"}, "`pooling='mean'`: expected avg or max"),
        ({"trainable": -2}, "`trainable=-2`: expected a number of layers"),
        ({"weights": "nowhere.h5"}, "there is no such file"),
    ],
)
def test_settings_that_are_wrong(settings, line):
    with pytest.raises(UserError, match=line):
        head_spec("lrcn", **settings)


def test_settings_that_mean_nothing_are_refused():
    with pytest.raises(UserError, match="head c3d takes no `base`"):
        head_spec("c3d", base="tiny")
