"""The memory of a training step is known before it runs, and what does not fit is one line with what would."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.training.compute.memory_probe import check_memory, did_not_fit, peak_of_graph

MEASURE = """
import resource, sys
import keras, numpy as np
from pipeline.training.compute.backend import compile_step
from pipeline.training.heads.registry import build_model, head_spec
from pipeline.training.heads.video_networks import set_trainable

head, batch, length, side = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
settings = {"base": "mobilenetv2", "weights": "random", "trainable": int(sys.argv[5])} if head == "lrcn" else {}
model = build_model(head_spec(head, **settings), length=length, shape=(side, side, 3), classes=2)
optimizer = keras.optimizers.AdamW(1e-3)
optimizer.build(model.trainable_variables)
step = compile_step(model, optimizer)

def arrays(size):
    frames = np.zeros((size, length, side, side, 3), np.uint8)
    return frames, np.ones((size, length), bool), np.eye(2, dtype=np.float32)[np.zeros(size, int)], np.ones(size, "f")

np.asarray(step(*arrays(1)))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
told = step.bytes_needed(*arrays(batch))
np.asarray(step(*arrays(batch)))
print(told, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


def test_tensors_live_until_their_last_use():
    import tensorflow as tf

    def function(x):
        a = tf.exp(x)  # x and a: 2 kB
        b = tf.sin(a)  # a and b, as a is used again
        return tf.reduce_sum(tf.cos(b) + a)  # and cos(b)

    concrete = tf.function(function).get_concrete_function(tf.TensorSpec((256,), tf.float32))
    assert 3 * 1024 <= peak_of_graph(concrete.graph) <= 3 * 1024 + 64


def test_what_does_not_fit_is_told_with_what_would():
    check_memory(6 << 30, 8, 1, free=10 << 30)
    check_memory(0, 8, 1, free=1)
    with pytest.raises(
        UserError, match=r"of 64 windows takes about 34.4 GB .* `batch=11` would fit, with `accumulate=6`"
    ):
        check_memory(32 << 30, 64, 1, free=8 << 30)
    with pytest.raises(UserError, match="not even a batch of 1"):
        check_memory(32 << 30, 2, 1, free=1 << 30)
    assert "`batch=4` with `accumulate=4`" in str(did_not_fit(8, 2))


def test_a_training_that_would_not_fit_does_not_begin(data, monkeypatch):
    import keras

    from pipeline.training.compute import memory_probe
    from pipeline.training.compute.backend import compile_step
    from pipeline.training.heads.registry import build_model, head_spec

    model = build_model(head_spec("c3d_small"), length=4, shape=(32, 32, 3), classes=2)
    optimizer = keras.optimizers.AdamW(1e-3)
    optimizer.build(model.trainable_variables)
    step = compile_step(model, optimizer)
    arrays = (
        np.zeros((512, 4, 32, 32, 3), np.uint8),
        np.ones((512, 4), bool),
        np.zeros((512, 2), "f"),
        np.ones(512, "f"),
    )
    needed = step.bytes_needed(*arrays)
    # The first block alone: frames, their masked copy, 32 filters before and after the mask.
    assert needed > 512 * 4 * 32 * 32 * 32 * 4 * 2
    monkeypatch.setattr(memory_probe, "free_memory", lambda: 1 << 30)
    with pytest.raises(UserError, match=r"`batch=\d+` would fit"):
        check_memory(needed, 512, 1)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak of a process is told in kilobytes on Linux")
@pytest.mark.parametrize(
    ("head", "batch", "length", "side", "trainable"),
    [
        ("c3d_small", 16, 16, 64, 0),
        ("timedistributed_convnet", 8, 5, 64, 0),
        ("lrcn", 8, 8, 96, -1),
        ("lrcn", 8, 8, 96, 0),
    ],
)
def test_the_estimate_is_near_what_a_process_takes(head, batch, length, side, trainable):
    command = [sys.executable, "-c", MEASURE, head, str(batch), str(length), str(side), str(trainable)]
    told, taken = map(int, subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())
    print(head, trainable, f"told {told / 1e6:.0f} MB, taken {taken / 1e6:.0f} MB")
    assert 0.6 < told / taken < 2.5
