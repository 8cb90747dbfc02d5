"""A head as compiled functions of fixed shape: the calls of stage two that belong to one Keras backend.

Measured on 2 cores, TensorFlow 2.21, 594 x 20 x 2048, GRU(16) -> GRU(8), batch 32, seconds per epoch: Keras' fit
0.24, one compiled step 0.20, the same with XLA 0.17, and with products in XLA's better order (`products`) 0.07; on JAX
0.04. For wide recurrent layers TensorFlow's XLA is slower than its own kernels, so it is used only for the heads that
say so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import keras
import numpy as np

from pipeline.errors import UserError
from pipeline.training.compute.wide_matmul import Product, taken_by

Function = Callable[[np.ndarray, np.ndarray], np.ndarray]


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
        raise UserError(f"--devices {devices}: expected 1 or more")
    if devices is not None and devices > len(found):
        raise UserError(f"--devices {devices}: there {'is' if len(found) == 1 else 'are'} only {', '.join(found)}")
    if not jax and devices is not None and devices > 1:
        raise UserError(f"--devices {devices}: Keras shares batches out on JAX only; set KERAS_BACKEND=jax")
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


def compile_head(model: keras.Model) -> Function:
    """Compile a head for inference.

    Returns:
        A function from features ``(batch, L, D)`` float16 or float32, or frames, and mask ``(batch, L)`` bool to logits
        ``(batch, C)`` float32. Each new batch size compiles once more, so call it with one size.
    """
    return _HEADS[_backend()](model)


def out_of_memory(error: Exception) -> bool:
    """Whether a step failed because it found no memory."""
    return isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error) or "OOM" in str(error)


def step_errors() -> tuple[type[Exception], ...]:
    """What a step may raise where memory has run out, among other things; see `out_of_memory`."""
    if keras.backend.backend() == "jax":
        import jax

        return MemoryError, jax.errors.JaxRuntimeError
    import tensorflow as tf

    return MemoryError, tf.errors.ResourceExhaustedError


class Step(Protocol):
    """One compiled training step, which changes the model's weights."""

    def __call__(self, features: np.ndarray, mask: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> Any:
        """Learn from a batch.

        Args:
            features: ``(batch, L, D)`` float16 or float32.
            mask: ``(batch, L)`` bool.
            targets: ``(batch, C)`` float32 probabilities.
            weights: ``(batch,)`` float32; 0 for rows that only fill the batch up.

        Returns:
            A backend's array of 3: summed weighted loss, summed weight, summed weight of right answers. It is
            not waited for, so that the next batch can be gathered meanwhile.
        """

    def bytes_needed(self, *arrays: np.ndarray) -> int:
        """What a step on such a batch will take at its peak, beside the weights; 0 where that cannot be told."""

    def sync(self) -> None:
        """Bring model and optimizer up to date; call it before their variables are read."""

    def restart(self) -> None:
        """Take over variables that were changed from outside."""


def compile_step(model: keras.Model, optimizer: keras.optimizers.Optimizer, *, jit: bool = False) -> Step:
    """Compile one training step of cross entropy from logits.

    Args:
        model: of features and mask to logits.
        optimizer: built for the model's trainable variables.
        jit: compile with XLA on TensorFlow; JAX always does.
    """
    return _STEPS[_backend()](model, optimizer, jit)


def _cast(features: Any, model: keras.Model) -> Any:
    """Features arrive in the type of the store: NumPy takes ten times longer to widen float16 than a backend."""
    return keras.ops.cast(features, model.inputs[0].dtype)


def _loss(logits: Any, targets: Any, weights: Any) -> tuple[Any, Any]:
    """Mean loss of the batch, and the three sums that `Step` returns."""
    ops = keras.ops
    losses = ops.categorical_crossentropy(targets, logits, from_logits=True) * weights
    right = ops.cast(ops.argmax(logits, axis=-1) == ops.argmax(targets, axis=-1), "float32") * weights
    total, weight = ops.sum(losses), ops.sum(weights)
    return total / ops.maximum(weight, 1e-6), ops.stack([total, weight, ops.sum(right)])


# -- TensorFlow ------------------------------------------------------------------------------------


class _Traced:
    """A Python function traced once for each set of shapes and types.

    tf.function does the same, but warns of each model that is made and traced, as in cross-validation.
    """

    def __init__(self, function: Callable[..., Any], *, jit: bool = False) -> None:
        import tensorflow as tf

        self._function = tf.function(function, jit_compile=jit, autograph=False)
        self._traced: dict[tuple, Any] = {}

    def __call__(self, *arrays: np.ndarray) -> Any:
        import tensorflow as tf

        return self.trace(*arrays)(*[tf.constant(array) for array in arrays])

    def trace(self, *arrays: np.ndarray) -> Any:
        """The function for such arrays."""
        import tensorflow as tf

        key = tuple((array.shape, array.dtype) for array in arrays)
        if key not in self._traced:
            specs = [tf.TensorSpec(array.shape, array.dtype) for array in arrays]
            self._traced[key] = self._function.get_concrete_function(*specs)
        return self._traced[key]


def _tensorflow_head(model: keras.Model) -> Function:
    function = _Traced(lambda features, mask: model([_cast(features, model), mask], training=False))
    return lambda features, mask: function(features, mask).numpy()


def _tensorflow_product() -> Product | None:
    """A matrix product whose gradient XLA computes quickly on processors; None where something else computes."""
    import tensorflow as tf
    from tensorflow.compiler.tf2xla.ops import gen_xla_ops

    if tf.config.list_physical_devices("GPU"):
        return None

    @tf.custom_gradient
    def product(features: Any, kernel: Any) -> Any:
        rows = tf.reshape(features, (-1, features.shape[-1]))

        def backward(gradient: Any) -> tuple[Any, Any]:
            gradients = tf.reshape(gradient, (-1, gradient.shape[-1]))
            # Without the barrier XLA would turn the product round again.
            (turned,) = gen_xla_ops.xla_optimization_barrier([tf.matmul(gradients, rows, transpose_a=True)])
            back = tf.matmul(gradients, kernel, transpose_b=True)
            return tf.reshape(back, features.shape), tf.transpose(turned)

        result = tf.matmul(rows, kernel)
        return tf.reshape(result, (*features.shape[:-1], kernel.shape[-1])), backward

    return product


class _TensorFlowStep:
    def __init__(self, model: keras.Model, optimizer: keras.optimizers.Optimizer, jit: bool) -> None:
        import tensorflow as tf

        # Without XLA TensorFlow's own kernels are as quick either way.
        product = _tensorflow_product() if jit else None

        def step(features, mask, targets, weights):
            with tf.GradientTape() as tape, taken_by(product, model):
                loss, sums = _loss(model([_cast(features, model), mask], training=True), targets, weights)
                loss = optimizer.scale_loss(loss)
            optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
            return sums

        self._function = _Traced(step, jit=jit)

    def __call__(self, features: np.ndarray, mask: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> Any:
        return self._function(features, mask, targets, weights)

    def bytes_needed(self, *arrays: np.ndarray) -> int:
        import tensorflow as tf

        from pipeline.training.compute.memory_probe import peak_of_graph

        # The memory of a GPU is another one, and running out of it raises an error.
        return 0 if tf.config.list_physical_devices("GPU") else peak_of_graph(self._function.trace(*arrays).graph)

    def sync(self) -> None:
        """Variables are always up to date."""

    def restart(self) -> None:
        """Variables are always up to date."""


# -- JAX -------------------------------------------------------------------------------------------


def _jax_head(model: keras.Model) -> Function:
    import jax

    compiled = jax.jit(lambda a, b, x, mask: model.stateless_call(a, b, [_cast(x, model), mask], training=False)[0])

    def function(features: np.ndarray, mask: np.ndarray) -> np.ndarray:
        # Read at each call: the model may have been trained further since the last one.
        trainable = [variable.value for variable in model.trainable_variables]
        other = [variable.value for variable in model.non_trainable_variables]
        return np.asarray(compiled(trainable, other, *_spread(features, mask)))

    return function


def _jax_product() -> Product | None:
    """A matrix product whose gradient is quick on processors; None where something else computes."""
    import jax

    if jax.default_backend() != "cpu":
        return None

    @jax.custom_vjp
    def product(features: Any, kernel: Any) -> Any:
        return features @ kernel

    def forward(features: Any, kernel: Any) -> tuple[Any, tuple[Any, Any]]:
        return features @ kernel, (features, kernel)

    def backward(kept: tuple[Any, Any], gradient: Any) -> tuple[Any, Any]:
        features, kernel = kept
        rows, gradients = features.reshape(-1, features.shape[-1]), gradient.reshape(-1, gradient.shape[-1])
        # Without the barrier XLA would turn the product round again.
        return gradient @ kernel.T, jax.lax.optimization_barrier(gradients.T @ rows).T

    product.defvjp(forward, backward)
    return product


def _spread(*arrays: np.ndarray) -> tuple[Any, ...]:
    """Arrays of a batch with their rows shared out to the devices, where there are several."""
    distribution = keras.distribution.distribution()
    if distribution is None or len(arrays[0]) % distribution.num_model_replicas:
        return arrays
    return tuple(
        keras.distribution.distribute_tensor(array, distribution.get_data_layout(array.shape)) for array in arrays
    )


class _JaxStep:
    def __init__(self, model: keras.Model, optimizer: keras.optimizers.Optimizer, jit: bool) -> None:
        import jax

        product = _jax_product()

        def loss(trainable, other, features, mask, targets, weights):
            with taken_by(product, model):
                logits, other = model.stateless_call(trainable, other, [_cast(features, model), mask], training=True)
            value, sums = _loss(logits, targets, weights)
            return value, (sums, other)

        def step(state, features, mask, targets, weights):
            trainable, other, memory = state
            (_, (sums, other)), gradients = jax.value_and_grad(loss, has_aux=True)(
                trainable, other, features, mask, targets, weights
            )
            trainable, memory = optimizer.stateless_apply(memory, gradients, trainable)
            return (trainable, other, memory), sums

        self._function = jax.jit(step)
        self._variables = (model.trainable_variables, model.non_trainable_variables, optimizer.variables)
        self.restart()

    def __call__(self, features: np.ndarray, mask: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> Any:
        self._state: Any
        self._state, sums = self._function(self._state, *_spread(features, mask, targets, weights))
        return sums

    def bytes_needed(self, *arrays: np.ndarray) -> int:
        return 0

    def sync(self) -> None:
        for variables, values in zip(self._variables, self._state, strict=True):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)

    def restart(self) -> None:
        self._state = tuple([variable.value for variable in variables] for variables in self._variables)


_HEADS: dict[str, Callable[[keras.Model], Function]] = {"tensorflow": _tensorflow_head, "jax": _jax_head}
_STEPS: dict[str, Callable[..., Step]] = {"tensorflow": _TensorFlowStep, "jax": _JaxStep}


def _backend() -> str:
    name = keras.backend.backend()
    if name not in _HEADS:
        raise UserError(f"KERAS_BACKEND={name} cannot train or apply heads; expected {' or '.join(_HEADS)}")
    return name
