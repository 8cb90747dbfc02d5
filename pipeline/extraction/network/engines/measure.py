"""How long each engine and precision takes on this machine, on the first layers of the network itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import numpy as np

from pipeline.extraction.network.engines.choose import Choice
from pipeline.lazy import keras, layers

Prepare = Callable[[], Callable[[np.ndarray], np.ndarray]]
"""Compiles something for a choice."""

BUDGET = 3.0  # seconds, whatever is compiled included
_PREPARING = 0.5  # of them; what is not compiled by then is left out, but for the first two
_ROUNDS = (3, 9)
_MULTIPLICATIONS = 1e9  # of an image: a sixth of InceptionV3 at 299 px


def measure(
    prepare: Mapping[Choice, Prepare],
    images: np.ndarray,
    *,
    errors: tuple[type[Exception], ...] = (RuntimeError,),
    clock: Callable[[], float] = time.perf_counter,
) -> dict[Choice, list[float]]:
    """Time the same images on each choice, in turn, since a machine is faster in one moment than in another.

    Args:
        prepare: by choice, the one to keep in doubt first.
        images: ``(n, height, width, 3)`` uint8 of one call.
        errors: what may go wrong where something cannot be computed here, such as no memory on a GPU.
        clock: tells seconds.

    Returns:
        Seconds of each round; a choice that cannot be compiled, or for which no time was left, is missing.
    """
    began = clock()
    ready: dict[Choice, Callable[[np.ndarray], np.ndarray]] = {}
    for choice, compile_ in prepare.items():
        if len(ready) > 1 and clock() - began > _PREPARING * BUDGET:
            break
        try:
            function = compile_()
            function(images)  # the first call compiles, or fills caches
        except errors:
            continue
        ready[choice] = function
    found: dict[Choice, list[float]] = {choice: [] for choice in ready}
    least, most = _ROUNDS
    for number in range(most):
        if number >= least and clock() - began > BUDGET:
            break
        for choice, function in ready.items():
            start = clock()
            function(images)
            found[choice].append(clock() - start)
    return found


def first_layers(model: keras.Model) -> keras.Model:
    """The first layers of a network, as many as can be measured quickly; all of a small one."""
    done = 0.0
    for layer in model.layers:
        kernels = sum(int(np.prod(weight.shape)) for weight in layer.weights if weight.path.endswith("kernel"))
        if kernels and not isinstance(layer.output, list):
            done += kernels * float(np.prod(layer.output.shape[1:-1]))
        if done >= _MULTIPLICATIONS and layer is not model.layers[-1]:
            last = layer.output
            pool = {4: layers.GlobalAveragePooling2D, 3: layers.GlobalAveragePooling1D}.get(len(last.shape))
            return keras.Model(model.input, pool()(last) if pool else last)
    return model
