"""What computes the network on this machine: Keras, or OpenVINO where it is installed and faster.

``python -m benchmarks.extraction.precision --weights W`` prints what each brings here.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass

from pipeline.errors import UserError
from pipeline.extraction.network.engines.openvino import check_openvino, installed
from pipeline.parallel.machine import computes_bfloat16

INT8 = "int8"  # the precision, and the folder in a store or checkpoint
ENGINES = ("auto", "keras", "openvino")
PRECISIONS = ("auto", "float32", "bfloat16", "float16", INT8)


@dataclass(frozen=True)
class Engine:
    """An engine and the precision it computes in; neither is part of the recipe, but for int8."""

    name: str
    """``keras`` or ``openvino``."""
    precision: str
    reason: str
    """In a few words for the user."""

    def __str__(self) -> str:
        return f"{'OpenVINO' if self.name == 'openvino' else 'Keras'} in {self.precision} ({self.reason})"


def choose_engine(engine: str = "auto", precision: str = "auto") -> Engine:
    """What the choices of engine and precision mean on this machine.

    Raises:
        UserError: OpenVINO is wanted and not installed, or cannot compute that here.
    """
    if precision == INT8:
        if engine == "keras":
            raise UserError("`precision=int8` is computed by OpenVINO; leave out `engine=keras`")
        check_openvino("`precision=int8`")
        return Engine("openvino", INT8, "as asked")
    if engine == "openvino":
        return _openvino(precision)
    from pipeline.extraction.network.engines.keras import choose_precision

    if engine == "auto" and _openvino_is_faster(precision):
        chosen = _openvino(precision)
        return Engine(chosen.name, chosen.precision, "this CPU computes it faster")
    return Engine("keras", *choose_precision(precision))


def _openvino_is_faster(precision: str) -> bool:
    """Measured on x86 processors; a GPU, other processors and other precisions are left to Keras."""
    if not installed() or platform.machine().lower() not in ("x86_64", "amd64"):
        return False
    if precision == "float16" or (precision == "bfloat16" and not computes_bfloat16()):
        return False
    import keras

    from pipeline.extraction.network.engines.keras import has_gpu

    return keras.backend.backend() == "tensorflow" and not has_gpu()


def _openvino(precision: str) -> Engine:
    check_openvino("`engine=openvino`")
    import keras

    if keras.backend.backend() != "tensorflow":
        raise UserError(
            f"`engine=openvino` takes the network over from TensorFlow, not from {keras.backend.backend()}; "
            "set KERAS_BACKEND=tensorflow, or `engine=keras`"
        )
    if precision == "float16" or (precision == "bfloat16" and not computes_bfloat16()):
        has = "float32, bfloat16 or int8" if computes_bfloat16() else "float32 or int8"
        raise UserError(f"`engine=openvino` does not compute in {precision} on this CPU; expected {has}")
    if precision == "auto":
        return Engine("openvino", "bfloat16" if computes_bfloat16() else "float32", "the fastest here without int8")
    return Engine("openvino", precision, "as asked")
