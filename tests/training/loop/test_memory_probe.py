"""The memory of a training step is measured before training, and what does not fit is one line with what would."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from pipeline.errors import UserError, VideoError
from pipeline.training.heads.registry import head_spec
from pipeline.training.loop import memory_probe
from pipeline.training.loop.memory_probe import StepShape, bytes_per_window, check_memory, did_not_fit
from pipeline.training.loop.spec import TrainSpec

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the peak of a process is told by /proc on Linux")

MEASURE = """
import re, sys
from pathlib import Path
import numpy as np
from pipeline.training.heads.registry import build_model, head_spec
from pipeline.training.loop.learner import prepare
from pipeline.training.loop.memory_probe import bytes_per_window
from tests.training.loop.test_memory_probe import step_of

head, batch, length, side = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
shape = step_of(head, length, side, int(sys.argv[5]))
told = batch * bytes_per_window(shape)
model = build_model(shape.head, length=length, shape=shape.shape, classes=2)
_, step = prepare(model, model, shape.phase, shape.spec)

def arrays(size):
    frames = np.zeros((size, length, side, side, 3), np.uint8)
    return frames, np.ones((size, length), bool), np.eye(2, dtype=np.float32)[np.zeros(size, int)], np.ones(size, "f")

def peak():  # not ru_maxrss, which begins with the memory of the process that started this one
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024

np.asarray(step(*arrays(1)))
before = peak()
np.asarray(step(*arrays(batch)))
print(told, peak() - before)
"""


def step_of(head: str, length: int, side: int, trainable: int = 0) -> StepShape:
    settings = {"base": "mobilenetv2", "weights": "random", "trainable": trainable} if head == "lrcn" else {}
    chosen = head_spec(head, **settings)
    spec = TrainSpec().resolved(chosen)
    return StepShape(chosen, spec, spec.phases(chosen)[0], length, (side, side, 3), 2)


def test_what_does_not_fit_is_told_with_what_would(monkeypatch):
    step = step_of("c3d_small", 4, 32)
    monkeypatch.setattr(memory_probe, "bytes_per_window", lambda step: 1 << 29)
    monkeypatch.setattr(memory_probe, "free_memory", lambda: 8 << 30)
    check_memory(step, 8)
    with pytest.raises(
        UserError, match=r"of 64 windows takes about 34.4 GB .* `batch=11` would fit, with `accumulate=6`"
    ):
        check_memory(step, 64)
    monkeypatch.setattr(memory_probe, "free_memory", lambda: 1 << 29)
    with pytest.raises(UserError, match="not even a batch of 1"):
        check_memory(step, 2)
    assert "`batch=4` with `accumulate=4`" in str(did_not_fit(8, 2))


@pytest.mark.slow
def test_a_step_is_measured_once_in_a_process_of_its_own(monkeypatch):
    step = step_of("c3d_small", 4, 32)
    each = bytes_per_window(step)
    # The first block alone: frames, their masked copy, 32 filters before and after the mask.
    assert 4 * 32 * 32 * 32 * 4 * 2 < each < 1 << 28
    monkeypatch.setattr(memory_probe, "run_each", lambda *args, **options: pytest.fail("it is known"))
    assert bytes_per_window(step) == each


def test_a_step_at_another_rate_is_not_measured_again(monkeypatch):
    asked = []
    monkeypatch.setattr(memory_probe, "bytes_per_window", lambda step: asked.append(step) or 0)
    step = step_of("c3d_small", 4, 32)
    check_memory(step, 8)
    slower = replace(step.spec, learning_rate=1e-5, seed=3, epochs=7)
    check_memory(replace(step, spec=slower, phase=slower.phases(step.head)[0]), 8)
    check_memory(replace(step, spec=replace(step.spec, accumulate=2)), 8)
    assert asked[0] == asked[1] != asked[2]


def test_a_probe_that_is_killed_says_that_memory_ran_out(monkeypatch):
    dead = VideoError("decode", "the decoder crashed (SIGKILL) after 3.0 s")
    monkeypatch.setattr(memory_probe, "run_each", lambda *args, **options: iter([(None, dead)]))
    with pytest.raises(UserError, match="ran out in a training step of 2 windows; try `batch=1`"):
        bytes_per_window(step_of("c3d_small", 5, 32))


def test_where_the_system_does_not_tell_nothing_is_refused(monkeypatch, tmp_path):
    """As on Windows and macOS, which have no /proc."""
    monkeypatch.setattr(memory_probe, "_PROC", tmp_path)
    monkeypatch.setattr(memory_probe, "run_each", lambda *args, **options: pytest.fail("it cannot be measured"))
    assert bytes_per_window(step_of("c3d_small", 6, 32)) == 0
    check_memory(step_of("c3d_small", 6, 32), 1 << 30)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("head", "batch", "length", "side", "trainable"),
    [
        ("c3d_small", 16, 16, 64, 0),
        ("timedistributed_convnet", 8, 5, 64, 0),
        ("lrcn", 8, 8, 96, -1),
        ("lrcn", 8, 8, 96, 0),
    ],
)
def test_what_is_measured_is_near_what_a_larger_batch_takes(head, batch, length, side, trainable):
    # As users have it: tests side by side have one thread each, which take less memory in a step.
    usual = {name: value for name, value in os.environ.items() if not name.startswith("TF_NUM_")}
    command = [sys.executable, "-c", MEASURE, head, str(batch), str(length), str(side), str(trainable)]
    told, taken = map(
        int, subprocess.run(command, check=True, capture_output=True, text=True, env=usual).stdout.split()
    )
    print(head, trainable, f"told {told / 1e6:.0f} MB, taken {taken / 1e6:.0f} MB")
    assert 0.6 < told / taken < 2.5
