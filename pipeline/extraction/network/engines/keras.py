"""A Keras model as one compiled function of fixed shape: the only calls that belong to one Keras backend."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pipeline.files.user_cache import cache_folder
from pipeline.lazy import keras

NetworkFunction = Callable[[np.ndarray], np.ndarray]


def has_gpu() -> bool:
    """Whether the Keras backend computes on a GPU."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        return bool(tf.config.list_physical_devices("GPU"))
    if backend == "jax":
        import jax

        return jax.default_backend() == "gpu"
    if backend == "torch":
        import torch

        return torch.cuda.is_available()
    return False


def keep_compiled() -> None:
    """Have JAX keep what it compiles for a GPU in the user's cache, unless its user has chosen another place.

    With InceptionV3 on an H100 a second start then takes 5 s and not 22; much of that is compiling the drawing of
    first weights, many small functions. On processors compiling is short, and what is compiled for one may not run on
    another that shares the folder.
    """
    if keras.backend.backend() != "jax" or not has_gpu():
        return
    import jax

    folder = cache_folder() / "jax"
    if jax.config.values["jax_compilation_cache_dir"]:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def computing_errors() -> tuple[type[Exception], ...]:
    """What the backend raises where it cannot compute something here, such as no memory on a GPU."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return (RuntimeError, MemoryError, tf.errors.OpError)
    return (RuntimeError, MemoryError)


def policy_for(precision: str) -> str:
    """The Keras dtype policy to build a network under. Where TensorFlow can lower the precision of the frozen graph
    itself, which is faster than Keras' policy, the network stays float32."""
    return "float32" if precision == "float32" or _rewriting(precision) else f"mixed_{precision}"


def _rewriting(precision: str) -> str:
    """TensorFlow's graph rewriting that lowers to this precision on this machine; empty where there is none."""
    if keras.backend.backend() != "tensorflow":
        return ""
    if has_gpu():
        return {"float16": "auto_mixed_precision"}.get(precision, "")
    return {"bfloat16": "auto_mixed_precision_onednn_bfloat16"}.get(precision, "")


def compile_model(model: keras.Model, shape: tuple[int, ...], precision: str) -> NetworkFunction:
    """Compile ``model`` for inputs of one ``shape`` (uint8), computing in ``precision``.

    Returns:
        A function from a uint8 array of that shape to a float32 array.
    """
    return _COMPILERS[keras.backend.backend()](model, shape, precision)


def _tensorflow(model: keras.Model, shape: tuple[int, ...], precision: str) -> NetworkFunction:
    import tensorflow as tf
    from tensorflow.python.eager import context
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    function = tf.function(
        lambda x: model(x, training=False), input_signature=[tf.TensorSpec(shape, tf.uint8)], autograph=False
    )
    frozen = convert_variables_to_constants_v2(function.get_concrete_function())
    # TensorFlow lowers the precision when it rewrites a graph. Its public switch is one for the whole process and
    # would take precision from the heads of stage two as well; the options of a call hold for that call.
    config = context.context().config
    if rewriting := _rewriting(precision):
        setattr(config.graph_options.rewrite_options, rewriting, 1)
    options = context.FunctionCallOptions(config_proto=config)

    def call(images: np.ndarray) -> np.ndarray:
        here = context.context()
        before, here.function_call_options = here.function_call_options, options
        try:
            return frozen(tf.constant(images))[0].numpy()
        finally:
            here.function_call_options = before

    return call


def _jax(model: keras.Model, shape: tuple[int, ...], precision: str) -> NetworkFunction:
    import jax
    import jax.numpy as jnp

    weights = [variable.value for variable in model.non_trainable_variables]  # frozen: that is all of them
    function = jax.jit(
        lambda values, images: model.stateless_call([], values, images, training=False)[0].astype(jnp.float32)
    )
    return lambda images: np.asarray(function(weights, images))


def _torch(model: keras.Model, shape: tuple[int, ...], precision: str) -> NetworkFunction:
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"

    def function(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return model(torch.from_numpy(images).to(device), training=False).float().cpu().numpy()

    return function


_COMPILERS = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}
