"""How much memory a training step takes, measured before training by two small steps in a process of its own.

A machine without an accelerator does not refuse memory: it kills the process that asked for too much.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pipeline.errors import UserError, VideoError
from pipeline.lazy import keras
from pipeline.parallel.machine import free_memory, return_freed_memory
from pipeline.parallel.workers import run_each
from pipeline.training.heads.registry import build_model
from pipeline.training.heads.spec import HeadSpec
from pipeline.training.loop.learner import augmented, prepare
from pipeline.training.loop.spec import POLICIES, Phase, TrainSpec

_SHARE = 0.7  # of the free memory that a step may take; measured is 0.7 to 1.2 of what batches of 8 and 16 took
_DECISIVE = ("optimizer", "precision", "accumulate", "augment")  # fields of `TrainSpec` by which memory differs
_TIMEOUT = 600.0  # seconds; a large network compiles for minutes on a busy machine
_PROC = Path("/proc/self")


@dataclass(frozen=True)
class StepShape:
    """All that decides how much memory a step of one window takes."""

    head: HeadSpec
    spec: TrainSpec
    """Resolved for the head."""
    phase: Phase
    length: int
    """Steps of a window."""
    shape: tuple[int, ...]
    """Of a frame."""
    classes: int


def check_memory(step: StepShape, batch: int) -> None:
    """Refuse a step of ``batch`` windows that would take more memory than there is.

    Where memory cannot be measured, nothing is refused: running out of the memory of an accelerator raises an error.

    Raises:
        UserError: the line says which batch would fit.
    """
    # What changes nothing must not make another measurement: a search trains the same network at many rates.
    same = TrainSpec(**{name: getattr(step.spec, name) for name in _DECISIVE}).resolved(step.head)
    alike = replace(step, spec=same, phase=replace(step.phase, learning_rate=1e-3))
    needed, free = batch * bytes_per_window(alike), free_memory()
    if needed <= _SHARE * free:
        return
    fits = int(batch * _SHARE * free / needed)
    advice = (
        f"`batch={fits}` would fit, with `accumulate={-(-batch * step.spec.accumulate // fits)}` for the same step"
        if fits
        else "not even a batch of 1 would fit: use smaller frames, a shorter `window` or a smaller network"
    )
    raise UserError(
        f"a training step of {batch} windows takes about {needed / 1e9:.1f} GB of memory and {free / 1e9:.1f} GB are "
        f"free; {advice}"
    )


def did_not_fit(batch: int, accumulate: int) -> UserError:
    """What to say where memory has run out."""
    if batch == 1:
        return UserError("the memory ran out in a step of 1 window; use smaller frames or a shorter `window`")
    half = batch // 2
    return UserError(
        f"the memory ran out in a training step of {batch} windows; try `batch={half}` with "
        f"`accumulate={-(-batch * accumulate // half)}`, which is the same step"
    )


@functools.cache
def bytes_per_window(step: StepShape) -> int:
    """Memory that one more window in a step takes; 0 where the system or an accelerator does not tell.

    Raises:
        UserError: the process was killed in a step of 2 windows.
    """
    if not (_PROC / "clear_refs").exists() or not keras.distribution.list_devices()[0].startswith("cpu"):
        return 0
    ((_, measured),) = run_each(_measure, [(None, (step,))], workers=1, timeout=_TIMEOUT)
    if not isinstance(measured, VideoError):
        return int(measured)
    if "SIGKILL" in str(measured):
        raise did_not_fit(2, step.spec.accumulate)
    return 0  # whatever is wrong with the step, training will tell


def _measure(heartbeat: Callable[[], None], step: StepShape) -> Iterator[int]:
    """The difference between the peaks of a step of 2 windows and one of 1, in bytes."""
    # What is freed must not stay resident: TensorFlow's own allocator, which begins with its first tensor, keeps it.
    os.environ["TF_ONEDNN_USE_SYSTEM_ALLOCATOR"] = "1"
    return_freed_memory()
    head = replace(step.head, weights=step.head.base and "random")  # they are as large as those that need a download
    model = build_model(
        head, length=step.length, shape=step.shape, classes=step.classes, policy=POLICIES[step.spec.precision]
    )
    _, run = prepare(model, augmented(model, step.spec), step.phase, step.spec)
    peaks = []
    # The first two compile, and what a step of another size leaves behind may be freed late.
    for size in (1, 2, 1, 1, 2, 2):
        heartbeat()
        frames, mask = np.zeros((size, step.length, *step.shape), np.uint8), np.ones((size, step.length), bool)
        targets, weights = np.full((size, step.classes), 1 / step.classes, np.float32), np.ones(size, np.float32)
        (_PROC / "clear_refs").write_text("5")  # the peak begins anew; see proc(5)
        np.asarray(run(frames, mask, targets, weights))
        run.write_back()  # all of the step is done
        found = re.search(r"VmHWM:\s+(\d+) kB", (_PROC / "status").read_text())
        peaks.append(int(found[1]) << 10 if found else 0)
    yield max(0, peaks[5] - peaks[3])
