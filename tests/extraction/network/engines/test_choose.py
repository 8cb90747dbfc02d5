from __future__ import annotations

import pytest

from pipeline.errors import UserError
from pipeline.extraction.network.engines import choose
from pipeline.extraction.network.engines import keras as keras_engine
from pipeline.extraction.network.engines import openvino as openvino_engine
from pipeline.extraction.network.engines.choose import Engine, choose_engine


@pytest.fixture
def machine(monkeypatch):
    """Say what this machine has."""

    def have(*, openvino: bool = True, bfloat16: bool = True, gpu: bool = False, kind: str = "x86_64") -> None:
        for module in (choose, openvino_engine):
            monkeypatch.setattr(module, "installed", lambda: openvino)
        for module in (choose, keras_engine):
            monkeypatch.setattr(module, "computes_bfloat16", lambda: bfloat16)
        monkeypatch.setattr(keras_engine, "has_gpu", lambda: gpu)
        monkeypatch.setattr(choose.platform, "machine", lambda: kind)

    return have


def chosen(engine: str = "auto", precision: str = "auto") -> tuple[str, str]:
    choice = choose_engine(engine, precision)
    return choice.name, choice.precision


def test_auto_takes_openvino_where_it_is_installed_and_faster(machine):
    machine()
    assert chosen() == ("openvino", "bfloat16")
    assert chosen("keras") == ("keras", "bfloat16")
    assert chosen(precision="float16") == ("keras", "float16")
    assert str(choose_engine()) == "OpenVINO in bfloat16 (this CPU computes it faster)"
    machine(bfloat16=False)
    assert chosen(precision="bfloat16") == ("keras", "bfloat16")
    for other in ({"gpu": True}, {"kind": "arm64"}, {"openvino": False}):
        machine(**other)
        assert chosen()[0] == "keras"


def test_int8_is_computed_by_openvino(machine):
    machine()
    assert choose_engine("auto", "int8") == choose_engine("openvino", "int8") == Engine("openvino", "int8", "as asked")


@pytest.mark.parametrize(
    ("here", "engine", "precision", "line"),
    [
        ({}, "keras", "int8", "`precision=int8` is computed by OpenVINO; leave out `engine=keras`"),
        ({"openvino": False}, "auto", "int8", "`precision=int8` needs OpenVINO: pip install -r requirements-openvino"),
        ({"openvino": False}, "openvino", "auto", "`engine=openvino` needs OpenVINO: pip install -r requirements-open"),
        ({}, "openvino", "float16", "does not compute in float16 on this CPU; expected float32, bfloat16 or int8"),
        ({"bfloat16": False}, "openvino", "bfloat16", "does not compute in bfloat16 on this CPU; expected float32 or"),
    ],
)
def test_what_openvino_cannot_do_is_one_line(machine, here, engine, precision, line):
    machine(**here)
    with pytest.raises(UserError) as caught:
        choose_engine(engine, precision)
    assert line in str(caught.value)
