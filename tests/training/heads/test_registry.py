"""Heads: padding never counts, whatever it holds and however much of it there is."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.training.compute.apply_head import probabilities_of
from pipeline.training.compute.backend import compile_head
from pipeline.training.data.dataset import windows_of
from pipeline.training.data.windows import WindowSpec
from pipeline.training.heads.normalisation import FRAME_NORM, floor_variance, statistics_of
from pipeline.training.heads.registry import HEADS, build_model, head_spec
from pipeline.training.heads.spec import HeadSpec

DIMENSIONS, LENGTH, CLASSES = 10, 7, 3


@pytest.fixture
def batch():
    """Features with zeros as padding, and a mask with rows of 1 to LENGTH real steps."""
    random = np.random.default_rng(0)
    mask = np.arange(LENGTH) < np.array([1, 2, 4, 5, 6, LENGTH, LENGTH, 3])[:, None]
    features = random.normal(size=(8, LENGTH, DIMENSIONS)).astype(np.float32)
    features[~mask] = 0
    return features, mask


def model_of(spec: HeadSpec, length: int = LENGTH) -> keras.Model:
    random = np.random.default_rng(1)
    statistics = {
        name: (random.normal(size=size).astype("float32"), random.uniform(0.5, 2, size).astype("float32"))
        for name, size in (("frames", DIMENSIONS), ("pooled", 2 * DIMENSIONS))
    }
    keras.utils.set_random_seed(0)
    return build_model(spec, length=length, shape=(DIMENSIONS,), classes=CLASSES, statistics=statistics)


def small(name: str) -> HeadSpec:
    """Two narrow layers where that can be chosen."""
    settings = {"units": 8, "layers": 2}
    return head_spec(name, **{setting: value for setting, value in settings.items() if setting in HEADS[name].takes})


ON_FEATURES = [name for name, head in HEADS.items() if head.needs == "features"]


# The orthogonal start of 2048 units takes seconds each time.
SLOW = {"apriorit": pytest.mark.slow}


@pytest.mark.parametrize("name", [pytest.param(name, marks=SLOW.get(name, ())) for name in ON_FEATURES])
def test_padding_does_not_count(name, batch):
    features, mask = batch
    spec = small(name)
    function = compile_head(model_of(spec))
    expected = function(features, mask)
    assert expected.shape == (8, CLASSES)
    assert np.isfinite(expected).all()
    assert np.ptp(expected, axis=0).max() > 1e-3, "the logits do not depend on the features"

    junk = features.copy()
    junk[~mask] = 50.0
    np.testing.assert_allclose(function(junk, mask), expected, atol=1e-5)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=SLOW.get(name, ())) for name in ON_FEATURES if HEADS[name].any_length]
)
def test_padded_equals_cropped(name, batch):
    features, mask = batch
    spec = small(name)
    model = model_of(spec)
    expected = compile_head(model)(features, mask)
    for row in (1, 2, 4):
        real = mask[row].sum()
        cropped = model_of(spec, int(real))
        cropped.set_weights(model.get_weights())
        answer = cropped([features[row : row + 1, :real], mask[row : row + 1, :real]], training=False)
        np.testing.assert_allclose(np.asarray(answer)[0], expected[row], atol=1e-5)


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"name": "nonsense"}, "expected one of gru"),
        ({"units": 0}, "`units=0`"),
        ({"layers": 5}, "`layers=5`"),
        ({"dropout": 1.0}, "`dropout=1`"),
        ({"name": "keras-example", "units": 8}, "takes no `units`"),
        ({"name": "mean", "layers": 2}, "takes no `layers`"),
        ({"name": "mlp", "bidirectional": False}, "takes no `bidirectional`"),
        ({"units": "8,eight"}, "'8,eight' is not a width for each layer"),
        ({"units": "8,0"}, "`units=8,0`"),
        ({"units": "8,4", "layers": 3}, "`units=8,4` are the widths of 2 layers, not of 3"),
        ({"name": "mlp", "units": "8,4", "layers": 1}, "`units=8,4` are the widths of 2 layers, not of 1"),
        ({"name": "attention", "units": "8,4"}, "head attention has one width; `units=8,4` names 2"),
        ({"name": "keras-example", "mask_of": "none"}, "`mask_of='none'`: expected all or first"),
    ],
)
def test_impossible_settings_are_refused(options, part):
    with pytest.raises(UserError, match=part):
        head_spec(**options)


def kernels(model: keras.Model) -> list[tuple[int, ...]]:
    return [tuple(weights.shape) for weights in model.trainable_variables if weights.path.endswith("/kernel")]


def test_widths_are_those_of_the_layers_and_of_dense_layers_behind_them():
    """The published example: LSTM 256, LSTM 512, Dense 256 on VGG16's 512 values."""
    spec = head_spec("ecology-lrcnn", units="256,512,256", layers=2)
    model = build_model(spec, length=20, shape=(512,), classes=2)
    assert kernels(model) == [(512, 4 * 256), (256, 4 * 512), (512, 256), (256, 2)]
    assert spec.settings()["units"] == [256, 512, 256]
    assert HeadSpec(**spec.settings()) == spec
    assert head_spec("mlp", units="8,4,2").layers == 3
    assert kernels(model_of(head_spec("mlp", units="8,4,2"))) == [(DIMENSIONS, 8), (8, 4), (4, 2), (2, CLASSES)]
    forwards = kernels(model_of(head_spec("gru", units="8,6", bidirectional=False)))
    assert (8, 3 * 8) in forwards
    assert forwards[-2:] == [(16, 6), (6, CLASSES)]
    assert head_spec("gru", units=8).settings()["units"] == 8  # as checkpoints have it


@pytest.mark.parametrize("name", ["conv1d", "ecology-lrcnn"])
def test_a_convolution_over_cached_features_has_its_kernel(name, batch):
    settings = {"cell": "conv1d"} if name == "ecology-lrcnn" else {}
    model = model_of(head_spec(name, units=8, kernel=5, **settings))
    assert any(shape[0] == 5 for shape in kernels(model) if len(shape) == 3)
    features, mask = batch
    expected = compile_head(model)(features, mask)
    features[~mask] = 9.0
    np.testing.assert_allclose(compile_head(model)(features, mask), expected, atol=1e-5)


def test_a_convolution_without_padding_needs_a_window_as_wide():
    with pytest.raises(UserError, match="needs a `window` of 9 steps or more, not 7"):
        model_of(head_spec("ecology-lrcnn", cell="conv1d", kernel=5, layers=2))


def test_the_keras_example_has_the_published_size():
    model = build_model(head_spec("keras-example"), length=20, shape=(2048,), classes=5)
    assert model.count_params() == 99_909


def test_a_mask_of_the_first_layer_only_lets_the_second_one_read_padding(batch):
    """Keras before 3.11: what the second layer sees after the end of a video counts."""
    features, mask = batch
    right, published = (model_of(head_spec("keras-example", mask_of=which)) for which in ("all", "first"))
    published.set_weights(right.get_weights())
    one, other = (compile_head(model)(features, mask) for model in (right, published))
    whole = mask.all(axis=1)
    np.testing.assert_allclose(one[whole], other[whole], atol=1e-6)
    assert np.abs(one[~whole] - other[~whole]).min(axis=1).max() > 1e-4


def test_statistics_are_those_of_the_real_steps(data):
    windows = windows_of(data, np.arange(len(data)), WindowSpec(4, 2))
    mean, variance = statistics_of(windows)[FRAME_NORM]
    features, mask = windows.gather(np.arange(len(windows)))
    np.testing.assert_allclose(mean, features[mask].mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(variance, features[mask].var(axis=0), rtol=1e-4)


def test_constant_features_do_not_blow_rounding_errors_up():
    variance = floor_variance(np.array([0.0, 1e-12, 4.0, 2.0]), np.array([0.0, 3.0, 1.0, 1.0]))
    np.testing.assert_allclose(variance[2:], [4, 2])
    rounding = 3.0 * 2**-11  # half a unit in the last place of float16
    assert rounding / np.sqrt(variance[1]) < 0.1
    assert variance[0] > 0


def test_softmax_is_stable_and_softened_by_temperature():
    probabilities = probabilities_of(np.array([[1000.0, 0.0], [0.0, 1.0]]))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    np.testing.assert_allclose(probabilities[0], [1, 0])
    assert probabilities_of(np.array([[0.0, 1.0]]), 4.0)[0, 1] < probabilities[1, 1]
