"""What may compute, and what is chosen of it, on machines and by timings that are made up."""

from __future__ import annotations

import json
import sys

import pytest

from pipeline.errors import UserError
from pipeline.extraction.network.engines import choose
from pipeline.extraction.network.engines import keras as keras_engine
from pipeline.extraction.network.engines.choose import Choice, allowed, check_measure, fastest, idle_gpu, machine_line
from pipeline.extraction.network.engines.openvino import broken, check_openvino
from pipeline.extraction.network.engines.usable import why_broken

OV32, OV16 = Choice("openvino", "float32"), Choice("openvino", "bfloat16")
K32, K16 = Choice("keras", "float32"), Choice("keras", "bfloat16")


@pytest.fixture
def machine(monkeypatch):
    """Say what this machine has."""
    choose.full_gpu.cache_clear()

    def have(
        *, openvino="", bfloat16=True, gpu=(), seen=True, free=70 << 30, backend="tensorflow", imported=False
    ) -> None:
        choose.full_gpu.cache_clear()
        monkeypatch.setattr(choose, "why_not", lambda: openvino)
        monkeypatch.setattr("pipeline.extraction.network.engines.openvino.why_not", lambda: openvino)
        monkeypatch.setattr(choose, "has_bfloat16", lambda: bfloat16)
        monkeypatch.setattr(choose, "gpus", lambda: tuple(gpu))
        monkeypatch.setattr(choose, "free_gpu_memory", lambda: free)
        monkeypatch.setattr(choose, "processors", lambda: 2)
        monkeypatch.setattr(keras_engine, "has_gpu", lambda: seen)
        monkeypatch.setenv("KERAS_BACKEND", backend)
        monkeypatch.setattr(choose, "_is_loaded", lambda library: imported)

    yield have
    choose.full_gpu.cache_clear()


def test_flags_only_rule_out(machine):
    machine()
    assert allowed() == [OV32, K32, OV16, K16]  # in doubt the first
    assert allowed("keras") == [K32, K16]
    assert allowed("openvino") == [OV32, OV16]
    assert allowed(precision="float32") == [OV32, K32]
    assert allowed(precision="float16") == [Choice("keras", "float16")]
    machine(bfloat16=False)
    assert allowed() == [OV32, K32]
    assert allowed(precision="bfloat16") == [K16]
    machine(openvino="is not installed")
    assert allowed() == [K32, K16]
    machine(backend="jax")
    assert allowed() == [K32]
    machine(gpu=["NVIDIA H100"])
    assert allowed() == [K32, Choice("keras", "float16")]
    machine(gpu=["NVIDIA H100"], backend="jax")
    assert allowed() == [K32, K16]
    machine(gpu=["NVIDIA H100"], seen=False)
    assert allowed() == [OV32, K32, OV16, K16]


def test_int8_is_computed_by_openvino(machine):
    machine()
    assert allowed("auto", "int8") == allowed("openvino", "int8") == [Choice("openvino", "int8")]


@pytest.mark.parametrize(
    ("here", "engine", "precision", "line"),
    [
        ({}, "keras", "int8", "`precision=int8` is computed by OpenVINO; leave out `engine=keras`"),
        ({"openvino": "is not installed"}, "auto", "int8", "`precision=int8` needs OpenVINO, which is not installed"),
        ({"openvino": "is not installed"}, "openvino", "auto", "`engine=openvino` needs OpenVINO, which is not inst"),
        ({"backend": "jax"}, "openvino", "auto", "takes the network over from TensorFlow, not from jax; set KERAS_B"),
        ({}, "openvino", "float16", "does not compute in float16 on this CPU; expected float32, bfloat16 or int8"),
        ({"bfloat16": False}, "openvino", "bfloat16", "does not compute in bfloat16 on this CPU; expected float32 or"),
    ],
)
def test_what_cannot_run_is_one_line(machine, here, engine, precision, line):
    machine(**here)
    with pytest.raises(UserError) as caught:
        allowed(engine, precision)
    assert line in str(caught.value)


XEON = {OV32: [51.6, 51.9, 52.2], K32: [51.9, 51.5, 52.4], OV16: [77.6, 77.1, 79.0], K16: [79.4, 78.8, 80.0]}
ZEN5 = {OV32: [23.8, 24.1, 23.9], K32: [25.6, 25.7, 26.0], OV16: [11.7, 11.9, 11.6], K16: [13.3, 13.5, 13.2]}
ONLY_KERAS_IS_FAST = {OV32: [50.0, 51.0, 50.5], K32: [40.0, 41.0, 39.5], OV16: [55.0, 54.0, 56.0], K16: [45, 46, 44]}
HARDLY_FASTER = {OV32: [50.0, 50.1, 50.2], K32: [48.0, 48.1, 48.2], OV16: [47.9, 48.0, 48.1]}
NOISE = {OV32: [50, 90, 40, 60], K32: [45, 50, 80, 41], OV16: [20, 45, 70, 30], K16: [20, 90, 25, 41]}


@pytest.mark.parametrize(
    ("timings", "expected"),
    [
        (XEON, OV32),
        (ZEN5, OV16),
        (ONLY_KERAS_IS_FAST, K32),
        (HARDLY_FASTER, OV32),
        (NOISE, OV32),
        ({K32: [2.0, 2.1], Choice("keras", "float16"): [1.0, 1.1]}, Choice("keras", "float16")),
        ({OV32: [1.0]}, OV32),
    ],
)
def test_the_fastest_is_chosen_where_that_is_clear(timings, expected):
    assert fastest(timings) == expected


@pytest.mark.parametrize("timings", [XEON, ZEN5, ONLY_KERAS_IS_FAST, HARDLY_FASTER])
def test_what_is_chosen_is_never_more_than_a_twentieth_slower(timings):
    assert min(timings[fastest(timings)]) <= 1.05 * min(map(min, timings.values()))


def test_a_measurement_of_nothing_is_refused():
    check_measure("auto", "float32")
    check_measure("keras", "auto")
    for engine, precision in (("keras", "float32"), ("auto", "int8")):
        with pytest.raises(UserError, match=f"`measure=True` .* `precision={precision}` is named; leave it out"):
            check_measure(engine, precision)


def test_one_line_says_what_computes(machine):
    machine()
    assert machine_line(OV32) == "2 processors, float32, OpenVINO"
    assert idle_gpu() == ""
    machine(gpu=["NVIDIA H100"])
    assert machine_line(Choice("keras", "float16")) == "NVIDIA H100, float16"
    assert machine_line(OV16) == "2 processors, bfloat16, OpenVINO"  # as asked
    machine(gpu=["NVIDIA L4"] * 2)
    assert machine_line(K32) == "2 GPUs NVIDIA L4, float32"


def test_a_gpu_that_does_not_compute_is_one_line(machine):
    machine(gpu=["NVIDIA L4"], seen=False)
    assert idle_gpu() == "NVIDIA L4 is here, but tensorflow does not see it: pip install 'tensorflow[and-cuda]'"
    machine(gpu=["NVIDIA L4"], seen=False, backend="torch")
    assert idle_gpu() == "NVIDIA L4 is here, but torch does not see it: install torch with CUDA"
    machine(gpu=["NVIDIA L4"], free=90 << 20, imported=True)  # then it cannot be hidden any more
    assert idle_gpu() == ""
    machine(gpu=["NVIDIA L4"], free=90 << 20)
    assert idle_gpu() == "NVIDIA L4 has only 0.1 GB of free memory, so the processors compute"
    assert choose.os.environ["CUDA_VISIBLE_DEVICES"] == "-1"
    assert allowed() == [OV32, K32, OV16, K16]


@pytest.fixture(autouse=True)
def visible(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")  # set and undone, whatever a test does with it


def test_the_backend_is_known_without_keras(tmp_path, monkeypatch):
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert choose.backend() == "tensorflow"
    (tmp_path / "keras.json").write_text(json.dumps({"backend": "jax"}))
    assert choose.backend() == "jax"
    (tmp_path / "keras.json").write_text("rubbish")
    assert choose.backend() == "tensorflow"
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    assert choose.backend() == "torch"


def test_openvino_that_does_not_load_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "openvino.py").write_text("raise ImportError('libopenvino.so.2026:\\n cannot open shared object file')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "openvino", raising=False)
    why_broken.cache_clear()
    try:
        assert broken() == "cannot be loaded (libopenvino.so.2026: cannot open shared object file)"
        with pytest.raises(UserError, match="`engine=openvino` needs OpenVINO, which cannot be loaded"):
            check_openvino("`engine=openvino`")
    finally:
        why_broken.cache_clear()
