"""A head as compiled functions of fixed shape, by the Keras backend in use: TensorFlow or JAX.

Measured on 2 cores, TensorFlow 2.21, 594 x 20 x 2048, GRU(16) -> GRU(8), batch 32, seconds per epoch: Keras' fit
0.24, one compiled step 0.20, the same with XLA 0.17, and with products in XLA's better order (`wide_matmul`) 0.07; on
JAX 0.04. For wide recurrent layers TensorFlow's XLA is slower than its own kernels, so it is used only for the heads
that say so.
"""

from __future__ import annotations

import importlib
from typing import Any

import keras

from pipeline.errors import UserError
from pipeline.training.compute.apply_head import HeadFunction
from pipeline.training.compute.step import Step

BACKENDS = ("tensorflow", "jax")


def compile_head(model: keras.Model) -> HeadFunction:
    """Compile a head for inference.

    Returns:
        A function from features ``(batch, L, D)`` float16 or float32, or frames, and mask ``(batch, L)`` bool to logits
        ``(batch, C)`` float32. Each new batch size compiles once more, so call it with one size.
    """
    return _module().compile_head(model)


def compile_step(model: keras.Model, optimizer: keras.optimizers.Optimizer, *, jit: bool = False) -> Step:
    """Compile one training step of cross entropy from logits.

    Args:
        model: of features and mask to logits.
        optimizer: built for the model's trainable variables.
        jit: compile with XLA on TensorFlow; JAX always does.
    """
    return _module().CompiledStep(model, optimizer, jit)


def out_of_memory(error: Exception) -> bool:
    """Whether a step failed because it found no memory."""
    return isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error) or "OOM" in str(error)


def step_errors() -> tuple[type[Exception], ...]:
    """What a step may raise where memory has run out, among other things; see `out_of_memory`."""
    return _module().ERRORS


def _module() -> Any:
    """The module of this package that knows the backend; the other backend need not be installed."""
    name = keras.backend.backend()
    if name not in BACKENDS:
        raise UserError(f"KERAS_BACKEND={name} cannot train or apply heads; expected {' or '.join(BACKENDS)}")
    return importlib.import_module(f"pipeline.training.compute.{name}")
