"""Networks of stores and checkpoints for OpenVINO: whatever is in them, reading one is a network or one line."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.extraction.network.engines.openvino import read_foreign, save_network

openvino = pytest.importorskip("openvino")


def write(folder: Path, *, width: int) -> Path:
    """A network that makes ``(n, 4)`` of images, by the mean of a tensor that is ``width`` numbers wide."""
    from openvino import opset13 as ops

    images = ops.parameter([-1, 2, 2, 3], np.uint8)
    values = ops.reshape(ops.convert(images, "f32"), np.array([-1, 12]), special_zero=False)
    wide = ops.broadcast(ops.unsqueeze(values, np.array(2)), np.array([1, 12, width], np.int64), "BIDIRECTIONAL")
    means = ops.reduce_mean(wide, np.array([2]), keep_dims=False)
    save_network(openvino.Model([means], [images]), folder / "network.xml")
    return folder / "network.xml"


def test_a_sound_one_is_read(tmp_path):
    network = read_foreign(write(tmp_path, width=5))
    said = openvino.Core().compile_model(network, "CPU")(np.full((1, 2, 2, 3), 7, np.uint8))[0]
    assert said.tolist() == [[7.0] * 12]


def test_a_few_bytes_that_ask_for_all_memory_are_one_line(tmp_path):
    path = write(tmp_path, width=1 << 40)
    assert path.stat().st_size + path.with_suffix(".bin").stat().st_size < 20_000
    with pytest.raises(UserError, match=r"has a tensor of 1x12x1099511627776 numbers"):
        read_foreign(path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda xml: xml.write_text("<net/>"),
        lambda xml: xml.write_text("no network"),
        lambda xml: xml.write_text(xml.read_text().replace('type="Broadcast"', 'type="System"')),
        lambda xml: xml.write_text(xml.read_text().replace('offset="', 'offset="99999999')),
        lambda xml: xml.with_suffix(".bin").write_bytes(b""),
        lambda xml: xml.with_suffix(".bin").unlink(),
        lambda xml: (xml.with_suffix(".bin").unlink(), os.mkfifo(xml.with_suffix(".bin"))),
        lambda xml: (xml.unlink(), os.mkfifo(xml)),
    ],
    ids=["empty", "text", "unknown operation", "offset", "no values", "no file", "pipe of values", "pipe"],
)
def test_damage_is_one_line(tmp_path, damage):
    path = write(tmp_path, width=5)
    damage(path)
    with pytest.raises(UserError) as told:
        read_foreign(path)
    assert len(str(told.value).splitlines()) == 1
