"""How much memory a training step takes, told before it runs.

A machine without an accelerator does not refuse memory: it kills the process that asked for too much. So what a step
will need is read from its graph: every tensor lives from the operation that makes it to the last one that uses it,
and the most that lives at one time is the estimate. Measured against the peak of a process by
``tests/training/compute/test_memory_probe.py``.
"""

from __future__ import annotations

from typing import Any

from pipeline.errors import UserError
from pipeline.parallel.memory import free_memory

_SHARE = 0.7  # of the free memory that a step may take; measured, the estimate is 0.64 to 1.0 of what is taken
_SAME = frozenset(("Identity", "Reshape", "Squeeze", "ExpandDims", "StopGradient", "ReadVariableOp", "PreventGradient"))
# Their result takes the place of what they are the last to use.
_IN_PLACE = frozenset(("BiasAdd", "Relu", "Relu6", "AddV2", "Mul", "Sub", "Maximum", "Minimum", "ReluGrad", "SelectV2"))


def peak_of_graph(graph: Any) -> int:
    """The most bytes of tensors that live at one time while a TensorFlow graph of known shapes runs.

    Tensors inside of loops are not counted.
    """
    operations = _used(graph)
    owner: dict[str, str] = {}  # whose memory a tensor lies in
    size: dict[str, int] = {}
    last: dict[str, int] = {}
    for number, operation in enumerate(operations):
        inputs = [owner.get(tensor.name, tensor.name) for tensor in operation.inputs]
        for name in inputs:
            last[name] = number
        for tensor in operation.outputs:
            owner[tensor.name] = inputs[0] if operation.type in _SAME and inputs else tensor.name
            size[tensor.name] = _bytes(tensor)
            last.setdefault(owner[tensor.name], number)
    live = peak = 0
    ending: dict[int, list[str]] = {}
    for name, number in last.items():
        ending.setdefault(number, []).append(name)
    for number, operation in enumerate(operations):
        freed = sum(size.get(name, 0) for name in ending.get(number, ()))
        made = sum(size[tensor.name] for tensor in operation.outputs if owner[tensor.name] == tensor.name)
        if operation.type in _IN_PLACE:
            live += made - min(made, freed)
            peak = max(peak, live)
            live -= freed - min(made, freed)
        else:
            live += made
            peak = max(peak, live)
            live -= freed
    return peak


def _used(graph: Any) -> list[Any]:
    """The operations that run, in order: gradients of what does not learn are made and then left out."""
    used: set[str] = set()
    open_ends = [*(tensor.op for tensor in graph.outputs), *graph.control_outputs]
    while open_ends:
        operation = open_ends.pop()
        if operation.name not in used:
            used.add(operation.name)
            open_ends += [tensor.op for tensor in operation.inputs]
            open_ends += operation.control_inputs
    return [operation for operation in graph.get_operations() if operation.name in used]


def _bytes(tensor: Any) -> int:
    if not tensor.shape.is_fully_defined():
        return 0
    return int(tensor.shape.num_elements() or 1) * int(tensor.dtype.size or 0)


def check_memory(needed: int, batch: int, accumulate: int, free: int | None = None) -> None:
    """Refuse a step that would take more memory than there is.

    Args:
        needed: bytes of a step; 0 where it is not known.
        batch: windows in it.
        accumulate: steps whose gradients are averaged.
        free: bytes; what the system has by default.

    Raises:
        UserError: the line says which batch would fit.
    """
    free = free_memory() if free is None else free
    if needed <= _SHARE * free:
        return
    fits = int(batch * _SHARE * free / needed)
    advice = (
        f"`batch={fits}` would fit, with `accumulate={-(-batch * accumulate // fits)}` for the same step"
        if fits
        else "not even a batch of 1 would fit: use smaller frames, a shorter `window` or a smaller network"
    )
    raise UserError(
        f"a training step of {batch} windows takes about {needed / 1e9:.1f} GB of memory and {free / 1e9:.1f} GB are "
        f"free; {advice}"
    )


def did_not_fit(batch: int, accumulate: int) -> UserError:
    """What to say where the memory of an accelerator has run out."""
    if batch == 1:
        return UserError("the memory ran out in a step of 1 window; use smaller frames or a shorter `window`")
    half = batch // 2
    return UserError(
        f"the memory ran out in a training step of {batch} windows; try `batch={half}` with "
        f"`accumulate={-(-batch * accumulate // half)}`, which is the same step"
    )
