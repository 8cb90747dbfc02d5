"""Layers whose products are taken in another way do what they did before, forwards and backwards."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from pipeline.training.compute.backend import compile_step
from pipeline.training.compute.wide_matmul import taken_by

STEPS, WIDE, CLASSES = 6, 300, 3
LAYERS = {
    "gru": lambda x, mask: layers.GRU(5)(x, mask=mask),
    "lstm": lambda x, mask: layers.LSTM(5, use_bias=False)(x, mask=mask),
    "rnn": lambda x, mask: layers.SimpleRNN(5)(x, mask=mask),
    "bidirectional": lambda x, mask: layers.Bidirectional(layers.LSTM(4))(x, mask=mask),
    "stacked": lambda x, mask: layers.GRU(3)(layers.GRU(5, return_sequences=True)(x, mask=mask), mask=mask),
    "backwards": lambda x, mask: layers.GRU(5, go_backwards=True, reset_after=False)(x, mask=mask),
    "dense": lambda x, mask: layers.Flatten()(layers.Dense(4, activation="relu")(x)),
}
WIDE_KERNELS = {"bidirectional": 2}


def build(name: str) -> keras.Model:
    keras.utils.set_random_seed(0)
    x, mask = keras.Input((STEPS, WIDE)), keras.Input((STEPS,), dtype="bool")
    return keras.Model([x, mask], layers.Dense(CLASSES)(LAYERS[name](x, mask)))


@pytest.fixture(scope="module")
def batch() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    lengths = random.integers(1, STEPS + 1, 8)
    return (
        random.normal(size=(8, STEPS, WIDE)).astype(np.float32),
        np.arange(STEPS) < lengths[:, None],
        np.eye(CLASSES, dtype=np.float32)[random.integers(0, CLASSES, 8)],
        np.ones(8, np.float32),
    )


@pytest.mark.parametrize("name", LAYERS)
def test_wide_products_are_handed_over_and_give_the_same(name, batch):
    model, calls = build(name), []

    def product(features, kernel):
        calls.append((features.shape, kernel.shape))
        return ops.matmul(features, kernel)

    expected = ops.convert_to_numpy(model(batch[:2]))
    with taken_by(product, model):
        result = ops.convert_to_numpy(model(batch[:2]))
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5)
    assert len(calls) == WIDE_KERNELS.get(name, 1)  # one for all steps, and none for narrow kernels
    assert all(features == (8, STEPS, WIDE) for features, _ in calls)
    model(batch[:2])
    assert len(calls) == WIDE_KERNELS.get(name, 1)  # and none outside of the block


def test_layers_are_as_they_were_after_an_error(batch):
    model = build("gru")
    before = [dict(layer.__dict__) for layer in model.layers]

    def product(features, kernel):
        raise ArithmeticError

    with pytest.raises(ArithmeticError), taken_by(product, model):
        model(batch[:2])
    assert [set(layer.__dict__) for layer in model.layers] == [set(held) for held in before]
    assert model(batch[:2]).shape == (8, CLASSES)


def test_inputs_that_the_cell_drops_are_left_to_it(batch):
    x, mask = keras.Input((STEPS, WIDE)), keras.Input((STEPS,), dtype="bool")
    model = keras.Model([x, mask], layers.GRU(4, dropout=0.5)(x, mask=mask))
    with taken_by(lambda features, kernel: pytest.fail("the products are of other inputs"), model):
        assert model(batch[:2]).shape == (8, 4)


@pytest.mark.parametrize("name", ["gru", "lstm", "dense"])
def test_a_step_with_xla_learns_what_one_without_learns(name, batch):
    learnt = []
    for jit in (False, True):
        model = build(name)
        optimizer = keras.optimizers.SGD(0.5)
        optimizer.build(model.trainable_variables)
        step = compile_step(model, optimizer, jit=jit)
        for _ in range(3):
            step(*batch)
        step.write_back()
        learnt.append(model.get_weights())
    for plain, fast in zip(*learnt, strict=True):
        np.testing.assert_allclose(fast, plain, rtol=1e-3, atol=2e-5)
