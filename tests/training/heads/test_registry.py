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


@pytest.mark.parametrize("name", ON_FEATURES)
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


# The orthogonal start of 2048 units takes seconds each time.
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if name == "apriorit" else ())
        for name in ON_FEATURES
        if HEADS[name].any_length
    ],
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
        answer = compile_head(cropped)(features[row : row + 1, :real], mask[row : row + 1, :real])
        np.testing.assert_allclose(answer[0], expected[row], atol=1e-5)


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
    ],
)
def test_impossible_settings_are_refused(options, part):
    with pytest.raises(UserError, match=part):
        head_spec(**options)


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
