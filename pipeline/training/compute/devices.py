"""Several accelerators that share each batch."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.errors import UserError
from pipeline.lazy import keras


def distribute(devices: int | None = None) -> str:
    """Have models that are built from now on trained and applied on several devices, a share of each batch on each.

    That is `keras.distribution.DataParallel`, which Keras has for JAX; for TensorFlow it leaves the data where it is
    (keras 3.15, backend/tensorflow/distribution_lib.py).

    Args:
        devices: how many; by default all accelerators, where there are several.

    Returns:
        What a user should know, in a sentence; empty where one device is all there is and all that was asked for.

    Raises:
        UserError: there are not so many, or the backend does not distribute.
    """
    found = keras.distribution.list_devices()
    several = len(found) > 1 and not found[0].startswith("cpu")
    jax = keras.backend.backend() == "jax"
    if devices is not None and devices < 1:
        raise UserError(f"`devices={devices}`: expected 1 or more")
    if devices is not None and devices > len(found):
        raise UserError(f"`devices={devices}`: there {'is' if len(found) == 1 else 'are'} only {', '.join(found)}")
    if not jax and devices is not None and devices > 1:
        raise UserError(f"`devices={devices}`: Keras shares batches out on JAX only; set KERAS_BACKEND=jax")
    if devices is None and several and not jax:
        return f"{found[0]} does all the work; with KERAS_BACKEND=jax all {len(found)} devices share it"
    if devices is None:
        devices = len(found) if several else 1
    if devices == 1:
        return ""
    parallel = keras.distribution.DataParallel(devices=found[:devices], auto_shard_dataset=False)
    keras.distribution.set_distribution(parallel)
    return f"each batch is shared out to {', '.join(found[:devices])}"


def replicas() -> int:
    """On how many devices models are trained; a batch needs a multiple of so many rows."""
    distribution = keras.distribution.distribution()
    return 1 if distribution is None else distribution.num_model_replicas


def share_out(*arrays: np.ndarray) -> tuple[Any, ...]:
    """Arrays of a batch with their rows shared out to the devices, where there are several."""
    distribution = keras.distribution.distribution()
    if distribution is None or len(arrays[0]) % distribution.num_model_replicas:
        return arrays
    return tuple(
        keras.distribution.distribute_tensor(array, distribution.get_data_layout(array.shape)) for array in arrays
    )
