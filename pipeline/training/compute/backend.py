"""A head as compiled functions of fixed shape, by the Keras backend in use: TensorFlow or JAX.

TensorFlow runs its own kernels: for wide recurrent layers XLA is slower than they are. JAX always compiles with XLA.
"""

from __future__ import annotations

import importlib
from typing import Any

from pipeline.errors import UserError
from pipeline.lazy import keras
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


def compile_step(model: keras.Model, optimizer: keras.optimizers.Optimizer) -> Step:
    """Compile one training step of cross entropy from logits.

    Args:
        model: of features and mask to logits.
        optimizer: built for the model's trainable variables.
    """
    return _module().CompiledStep(model, optimizer)


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
