"""A Keras model as an OpenVINO model: the only calls that belong to OpenVINO's runtime, on processors only.

OpenVINO has no wheels for some systems; where it cannot be imported, Keras computes.
"""

from __future__ import annotations

import math
import queue
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import UserError
from pipeline.extraction.network.engines.fixed_batch import fill_up
from pipeline.extraction.network.engines.usable import check_usable, why_broken, why_unusable
from pipeline.files.guard.regular_file import check_regular
from pipeline.files.user_cache import UserCache
from pipeline.lazy import np
from pipeline.parallel.machine import processor_flags, processor_model, processors

if TYPE_CHECKING:
    import keras

    from pipeline.extraction.network.engines.keras import NetworkFunction

_PIECE = 2  # images in one request; more are slower (8: by 4 %), and the last ones of a batch leave cores idle
CONCURRENT_CALLS = 2
"""Calls of a compiled network that may go on at the same time."""
_MOST_NUMBERS = 1 << 30  # in a tensor of a network
_COMPILED = "compiled"  # the kind of entry in the cache, and the file in it
_TYPES = {"float32": "f32", "bfloat16": "bf16", "int8": "f32"}  # what is not quantised in int8 stays float32


def why_not() -> str:
    """Why OpenVINO cannot be used, in a few words; empty where it can."""
    return why_unusable("openvino", "openvino")


def broken() -> str:
    """Why OpenVINO cannot be loaded although it is installed; empty where it can, or is not there."""
    return why_broken("openvino")


def check_openvino(what: str) -> None:
    """Refuse what needs OpenVINO where it cannot be used.

    Raises:
        UserError: it cannot.
    """
    check_usable(what, "OpenVINO", why_not())


def convert(model: keras.Model) -> Any:
    """A Keras model, on the backend TensorFlow, as an ``openvino.Model`` for batches of any size.

    Its inputs have the order of the Keras model's.
    """

    def call(*inputs: Any) -> Any:
        return model(list(inputs) if len(inputs) > 1 else inputs[0], training=False)

    network, inputs = _converted(call, _inputs_of(model))
    return network_of(network.get_results(), inputs, model.name)


def convert_without_values(model: keras.Model) -> tuple[Any, list[str | None]]:
    """As `convert`, but the values of the model's variables are further inputs, so that it stands for all of its kind.

    Returns:
        The model, and the names of its inputs: those of the Keras model, then one for each of `variables_of`; None for
        a variable that is not used.
    """
    import tensorflow as tf

    variables, trainable, count = variables_of(model), len(model.trainable_variables), len(model.inputs)

    def call(*given: Any) -> Any:
        inputs, values = list(given[:count]), list(given[count:])
        inputs = inputs if count > 1 else inputs[0]
        return model.stateless_call(values[:trainable], values[trainable:], inputs, training=False)[0]

    values = [tf.TensorSpec(variable.shape, variable.dtype) for variable in variables]
    network, inputs = _converted(call, [*_inputs_of(model), *values])
    there = {node.get_friendly_name() for node in network.get_parameters()}
    names = [node.get_friendly_name() for node in inputs]
    return network, [name if name in there else None for name in names]


def variables_of(model: keras.Model) -> list[keras.Variable]:
    """The variables of a model in the order in which `convert_without_values` takes their values."""
    return [*model.trainable_variables, *model.non_trainable_variables]


def network_of(results: Sequence[Any], inputs: Sequence[Any], name: str) -> Any:
    """An ``openvino.Model`` of nodes."""
    import openvino

    return openvino.Model(list(results), list(inputs), name)


def _inputs_of(model: keras.Model) -> list[Any]:
    import tensorflow as tf

    return [tf.TensorSpec((None, *tensor.shape[1:]), tensor.dtype) for tensor in model.inputs]


def _converted(call: Callable[..., Any], specifications: Sequence[Any]) -> tuple[Any, list[Any]]:
    """What a function of tensors computes, and the nodes of its inputs."""
    import openvino
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    function = tf.function(call, input_signature=specifications, autograph=False)
    frozen = convert_variables_to_constants_v2(function.get_concrete_function())
    with tempfile.TemporaryDirectory() as folder:
        # Reading a file asks nobody; openvino.convert_model reports its use to its makers over the network.
        tf.io.write_graph(frozen.graph, folder, "network.pb", as_text=False)
        network = openvino.Core().read_model(Path(folder) / "network.pb")
    return network, [network.input(tensor.name).get_node() for tensor in frozen.inputs]


def read(path: Path) -> Any:
    """The ``openvino.Model`` in a file."""
    import openvino

    return openvino.Core().read_model(path)


def read_foreign(path: Path) -> Any:
    """The ``openvino.Model`` in a file of a store or checkpoint, which may be anybody's.

    Raises:
        UserError: it cannot be read, or has larger tensors than any network needs: a few numbers in a file can ask for
            more than any memory holds.
    """
    for part in (path, path.with_suffix(".bin")):
        check_regular(part)
    try:
        network = read(path)
    except RuntimeError as error:
        raise UserError(f"{path} cannot be read ({' '.join(str(error).split())[-120:]})") from None
    for node in network.get_ops():
        for output in node.outputs():
            shape = output.get_partial_shape()
            sides = [side.get_length() for side in shape if side.is_static] if shape.rank.is_static else []
            if math.prod(sides) > _MOST_NUMBERS:
                named = "x".join(map(str, sides))
                raise UserError(f"{path} cannot be read ({node.get_type_name()} has a tensor of {named} numbers)")
    return network


def save_network(network: Any, path: Path) -> None:
    """Write an ``openvino.Model``: ``path`` ends in .xml, and its values lie beside it in .bin."""
    import openvino

    openvino.save_model(network, path, compress_to_fp16=False)


Make = Callable[[], Any]
"""Gives an ``openvino.Model``."""
Compile = Callable[[Make, dict[Any, Any]], Any]
"""From a model and settings to what OpenVINO has compiled."""


def compile_anew(make: Make, settings: dict[Any, Any]) -> Any:
    """Compile a model."""
    import openvino

    return openvino.Core().compile_model(make(), "CPU", settings)


def compile_once(cache: UserCache, facts: object) -> Compile:
    """Compile a model, or take what was compiled on this machine before, from the user's cache.

    Args:
        cache: where it is kept.
        facts: which model it is, and for which shapes.
    """

    def compile_(make: Make, settings: dict[Any, Any]) -> Any:
        import openvino

        machine = [processor_model(), sorted(processor_flags()), openvino.__version__]
        known = {"of": facts, "settings": {str(name): str(value) for name, value in settings.items()}, "by": machine}
        if (folder := cache.find(_COMPILED, known)) is not None:
            try:
                values = openvino.Tensor(np.fromfile(folder / _COMPILED, np.uint8))
                return openvino.Core().import_model(values, "CPU", settings)
            except (OSError, RuntimeError, TypeError, ValueError):
                cache.drop(folder, "cannot be read")
        compiled = compile_anew(make, settings)
        cache.keep(_COMPILED, known, lambda folder: _export(compiled, folder / _COMPILED))
        return compiled

    return compile_


def _export(compiled: Any, path: Path) -> None:
    with path.open("wb") as file:
        exported = compiled.export_model()
        file.write(exported.getbuffer() if hasattr(exported, "getbuffer") else exported)


def compile_model(
    network: Make, shapes: Sequence[tuple[int, ...]], compile_: Compile = compile_anew
) -> Callable[..., np.ndarray]:
    """Compile an ``openvino.Model`` in float32 for inputs of some shapes, -1 for any, one call at a time.

    Returns:
        A function from an array for each input to the array that comes out.
    """
    from openvino.properties import hint, inference_num_threads

    def reshaped() -> Any:
        found = network().clone()
        found.reshape(dict(enumerate(map(list, shapes))))
        return found

    settings = {
        hint.inference_precision: "f32",
        inference_num_threads: processors(),
        hint.enable_cpu_pinning: False,
    }
    request = compile_(reshaped, settings).create_infer_request()

    def call(*inputs: np.ndarray) -> np.ndarray:
        request.infer(dict(enumerate(inputs)), share_inputs=True)
        return request.get_output_tensor(0).data.copy()

    return call


def compile_network(
    network: Make,
    shape: tuple[int, ...],
    precision: str,
    compile_: Compile = compile_anew,
    *,
    largest: int | None = None,
) -> NetworkFunction:
    """Compile an ``openvino.Model`` for inputs of one ``shape`` (uint8), computing in ``precision``.

    A batch is cut into pieces, and every core works on a piece of its own, which takes less time than all cores
    on the whole batch. Two batches may be computed at a time (`CONCURRENT_CALLS`): cores without a piece of one go on
    with the other. One image alone (``shape[0] == 1``, as from a camera) is shared by all cores.

    Args:
        network: gives the model.
        shape: ``(n, height, width, 3)``, or ``(n, frames, height, width, 3)``.
        precision: ``float32``, ``bfloat16`` or ``int8``.
        compile_: what compiles it.
        largest: images in a piece at most; some networks take one at a time.

    Returns:
        A function from a uint8 array of that shape, or of fewer images, to a float32 array.
    """
    from openvino.properties import hint, inference_num_threads, num_streams

    batch = shape[0]
    streams = min(processors(), batch)
    most = max(1, min(_PIECE if largest is None else largest, batch // streams))
    piece = next(size for size in range(most, 0, -1) if batch % size == 0)

    def reshaped() -> Any:
        found = network().clone()
        found.reshape([piece, *shape[1:]])
        return found

    settings = {
        hint.inference_precision: _TYPES[precision],
        num_streams: streams,
        inference_num_threads: processors(),
        # Decoders work on the same cores; threads that are tied to one would wait for them.
        hint.enable_cpu_pinning: False,
    }
    compiled = compile_(reshaped, settings)
    dimensions = compiled.output(0).shape[-1]
    parts = [slice(start, start + piece) for start in range(0, batch, piece)]
    idle: queue.SimpleQueue[list[Any]] = queue.SimpleQueue()
    for _ in range(CONCURRENT_CALLS):
        idle.put([compiled.create_infer_request() for _ in parts])

    def call(images: np.ndarray) -> np.ndarray:
        features = np.empty((len(images), dimensions), np.float32)
        pieces = [fill_up(images[part], piece) for part in parts if part.start < len(images)]
        requests = idle.get()
        try:
            for request, filled in zip(requests, pieces, strict=False):
                request.start_async({0: filled}, share_inputs=True)
            for request, part in zip(requests[: len(pieces)], parts, strict=False):
                request.wait()
                features[part] = request.get_output_tensor(0).data[: len(images) - part.start]
        finally:
            idle.put(requests)
        return features

    # OpenVINO learns NumPy's types at their first use; two threads that come to it at once would wait for ever.
    call(np.zeros((1, *shape[1:]), np.uint8))
    return call
