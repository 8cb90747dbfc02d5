"""The products of wide features and kernels in Keras layers, taken in another way than the layers do.

Most of the time of a training step goes into the products of the features with the first kernel, and into their
gradient: the transposed features times the gradient of the products. XLA on a processor takes five times longer for
that than for the same product the other way round (640 x 2048 and 640 x 48: 1.8 and 0.35 ms on 2 cores), and recurrent
layers take it step by step. Here a `Product` does it, for recurrent layers before the loop over their steps. Layers,
results and what is saved stay the same.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
from keras import layers, ops

Product = Callable[[Any, Any], Any]
"""From ``(..., D)`` and a kernel ``(D, n)`` to ``(..., n)``."""

_WIDE = 256  # narrower ones cost little
_RECURRENT = (layers.GRU, layers.LSTM, layers.SimpleRNN)


@contextlib.contextmanager
def taken_by(product: Product | None, model: keras.Model) -> Iterator[None]:
    """Within the block, calls of ``model`` take their wide products by ``product``; for None nothing changes."""
    with contextlib.ExitStack() as changed:
        for layer in model._flatten_layers(include_self=False):
            if product is None:
                break
            if type(layer) in _RECURRENT and _wide(layer.cell) and not layer.cell.dropout:
                changed.enter_context(_replaced(layer, "inner_loop", _loop(layer, product)))
            elif type(layer) is layers.Dense and _wide(layer):
                changed.enter_context(_replaced(layer, "call", _dense(layer, product)))
        yield


def _wide(layer: Any) -> bool:
    return layer.kernel.shape[0] >= _WIDE


def _loop(layer: Any, product: Product) -> Callable[..., Any]:
    """The loop of a recurrent layer over its steps, whose cell gets the products and multiplies them by one."""

    def inner_loop(sequences: Any, initial_state: Any, mask: Any, training: bool = False) -> Any:
        done = product(sequences, _as(sequences, layer.cell.kernel))
        with _replaced(layer.cell, "kernel", ops.eye(done.shape[-1], dtype=done.dtype)):
            return type(layer).inner_loop(layer, done, initial_state, mask, training=training)

    return inner_loop


def _dense(layer: Any, product: Product) -> Callable[..., Any]:
    """What a dense layer does."""

    def call(inputs: Any, training: bool | None = None) -> Any:
        result = product(inputs, _as(inputs, layer.kernel))
        if layer.bias is not None:
            result = ops.add(result, layer.bias)
        return result if layer.activation is None else layer.activation(result)

    return call


def _as(like: Any, variable: Any) -> Any:
    return ops.cast(ops.convert_to_tensor(variable), like.dtype)


@contextlib.contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Another value of an attribute, past what Keras notes of attributes."""
    missing = object()
    before = owner.__dict__.get(name, missing)
    owner.__dict__[name] = value
    try:
        yield
    finally:
        if before is missing:
            del owner.__dict__[name]
        else:
            owner.__dict__[name] = before
