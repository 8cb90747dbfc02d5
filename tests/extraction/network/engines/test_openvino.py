"""Networks that OpenVINO computes."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from pipeline.extraction.network.engines.openvino import compile_model, compile_once
from pipeline.files.user_cache import VARIABLE, UserCache

# The first two calls come at once, while other threads keep taking Python's lock.
TWO_AT_ONCE = """
import os, sys, threading
import numpy as np
import openvino
from openvino import opset13 as ops
from pipeline.extraction.network.engines.openvino import compile_network

sys.setswitchinterval(1e-4)
pictures = ops.parameter([8, 4, 4, 3], np.uint8)
means = ops.reduce_mean(ops.convert(pictures, "f32"), np.array([1, 2]), False)
model = openvino.Model([ops.result(means)], [pictures], "means")
call = compile_network(lambda: model, (8, 4, 4, 3), "float32")

def spin():
    while True:
        pass

for _ in range(2):
    threading.Thread(target=spin, daemon=True).start()
gate = threading.Barrier(2)

def ask(number):
    gate.wait()
    assert np.all(call(np.full((8, 4, 4, 3), number, np.uint8)) == number)
    os.write(1, b"done\\n")  # in one piece, whatever the other thread writes

threads = [threading.Thread(target=ask, args=(number,)) for number in (1, 2)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
os._exit(0)
"""


def test_the_first_two_calls_may_come_at_once():
    pytest.importorskip("openvino")
    processes = [subprocess.Popen([sys.executable, "-c", TWO_AT_ONCE], stdout=subprocess.PIPE) for _ in range(4)]
    try:
        for process in processes:  # without the preparation half of them wait for ever
            assert process.communicate(timeout=60)[0].split() == [b"done", b"done"]
    finally:
        for process in processes:
            process.kill()
            process.communicate()  # closes its pipe too


def test_what_was_compiled_is_taken_again(tmp_path, monkeypatch):
    openvino = pytest.importorskip("openvino")
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    ops = openvino.opset13
    values, given = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32), []
    pixels = ops.parameter([-1, 5], np.float32)
    model = openvino.Model([ops.result(ops.matmul(pixels, values, False, False))], [pixels], "product")

    def make():
        given.append(1)
        return model

    def compiled(facts):
        return compile_model(make, [(4, 5)], compile_once(UserCache(lines.append), facts))

    rows, lines = np.random.default_rng(1).normal(size=(4, 5)).astype(np.float32), []
    for _ in range(3):
        np.testing.assert_allclose(compiled("one")(rows), rows @ values, rtol=1e-5)
    assert len(given) == 1
    compiled("another")
    assert len(given) == 2
    for blob in tmp_path.glob("compiled/*/compiled"):
        blob.write_bytes(b"rubbish")
    np.testing.assert_allclose(compiled("one")(rows), rows @ values, rtol=1e-5)
    assert len(given) == 3
    assert [line.rpartition(" is ")[0].startswith("note: ") for line in lines] == [True]
