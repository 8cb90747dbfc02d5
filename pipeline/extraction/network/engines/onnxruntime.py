"""An ONNX file as ONNX Runtime computes it: on an accelerator that it has for this machine, else on processors.

ONNX Runtime is an optional extra (``pip install video-pipeline[onnx]``); ``onnxruntime-gpu``, ``onnxruntime-directml``
and the build for macOS, which has CoreML, are further packages of the same name.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.errors import UserError
from pipeline.extraction.network.engines.usable import check_usable, why_unusable
from pipeline.lazy import np
from pipeline.parallel.machine import processors

# The names that ONNX Runtime gives them, and what people call them; the first one that is there computes.
ACCELERATORS = {
    "CUDAExecutionProvider": "CUDA",
    "ROCMExecutionProvider": "ROCm",
    "DmlExecutionProvider": "DirectML",
    "CoreMLExecutionProvider": "CoreML",
}
_PROCESSORS = "CPUExecutionProvider"


def why_no_onnxruntime() -> str:
    """Why ONNX Runtime cannot be used, in a few words; empty where it can."""
    return why_unusable("onnxruntime", "video-pipeline[onnx]")


def check_onnxruntime(what: str) -> None:
    """Refuse what needs ONNX Runtime where it cannot be used.

    Raises:
        UserError: it cannot.
    """
    check_usable(what, "ONNX Runtime", why_no_onnxruntime())


@functools.cache
def accelerator() -> str:
    """The name of the accelerator that ONNX Runtime has here, as `ACCELERATORS` lists it; empty for none."""
    if why_no_onnxruntime():
        return ""
    import onnxruntime

    there = onnxruntime.get_available_providers()
    return next((name for name in ACCELERATORS if name in there), "")


class OnnxSession:
    """An ONNX file that can be called.

    Args:
        path: the file, which was looked at before; see `pipeline.extraction.network.by_file.network_file`.
        output: the name of the output that is wanted; the first one for an empty name.
        said: takes a line where the accelerator does not take the network, and processors compute.

    Attributes:
        sides: of its input; None where any will do.
        shape: of its output likewise.
        computes: what does.

    Raises:
        UserError: it cannot be read, or has no such output.
    """

    def __init__(self, path: Path, output: str, said: Callable[[str], None] = lambda line: None) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = processors()
        options.log_severity_level = 3  # errors only
        wanted = [accelerator()] if accelerator() else []
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=[*wanted, _PROCESSORS])
        except Exception as error:  # noqa: BLE001  its errors have no common class but this one
            raise UserError(f"{path} cannot be read by ONNX Runtime ({' '.join(str(error).split())[:200]})") from None
        used = self._session.get_providers()[0]
        if wanted and used != wanted[0]:
            said(f"note: {ACCELERATORS[wanted[0]]} does not take {path.name}; processors compute")
        self.computes = ACCELERATORS.get(used, "")
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1:
            raise UserError(f"{path} takes {len(inputs)} inputs; expected one, of images")
        names = [each.name for each in outputs]
        if output and output not in names:
            raise UserError(f"{path} has no output {output!r}; expected one of {', '.join(sorted(names))}")
        self._input, self._output = inputs[0].name, output or names[0]
        self._half = inputs[0].type == "tensor(float16)"
        self.sides = [side if isinstance(side, int) else None for side in inputs[0].shape]
        shape = outputs[names.index(self._output)].shape
        self.shape = [side if isinstance(side, int) else None for side in shape]

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """What the network gives for scaled images."""
        values: Any = pixels.astype(np.float16) if self._half else pixels
        return np.asarray(self._session.run([self._output], {self._input: values})[0])
