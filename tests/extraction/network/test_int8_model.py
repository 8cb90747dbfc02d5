"""The int8 network as files: no OpenVINO is needed to find, copy or refuse one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.extraction.network.int8_model import Calibration, QuantisedNetwork, network_for
from pipeline.extraction.network.weights import WeightsSource

ABOUT = Calibration("tiny", "ab" * 32, "random:0", 32, 32, 64, 72, 8, {"nncf": "3"})
RANDOM = WeightsSource("random")


def make(place: Path, values: bytes = b"values") -> QuantisedNetwork:
    def save(path: Path) -> None:
        path.write_text("<net/>")
        path.with_suffix(".bin").write_bytes(values)

    return QuantisedNetwork.write(place, ABOUT, save)


def make_store(place: Path, digest: str) -> None:
    place.mkdir(exist_ok=True)
    (place / "recipe.json").write_text(json.dumps({"recipe": {"quantised": digest} if digest else {}}))


def no_calibration() -> QuantisedNetwork:
    raise AssertionError("calibrated again")


def test_the_first_one_stays(tmp_path):
    first = make(tmp_path / "store")
    assert make(tmp_path / "store", b"of a machine that was slower") == first
    assert sorted(path.name for path in (tmp_path / "store").iterdir()) == ["int8"]
    assert network_for(tmp_path / "store", None, no_calibration) == first
    assert network_for(tmp_path / "new", None, lambda: make(tmp_path / "new")).digest == first.digest


def test_another_store_can_take_it_over(tmp_path):
    network = make(tmp_path / "old")
    make_store(tmp_path / "old", network.digest)
    taken = network_for(tmp_path / "new", tmp_path / "old", no_calibration)
    assert taken.digest == network.digest
    assert taken.folder == tmp_path / "new/int8"
    make_store(tmp_path / "new", network.digest)
    (tmp_path / "new/int8/network.bin").unlink()
    (tmp_path / "new/int8").rename(tmp_path / "away")
    assert network_for(tmp_path / "new", tmp_path / "old", no_calibration).digest == network.digest


@pytest.mark.parametrize("name", ["calibration.json", "network.xml", "network.bin"])
def test_a_damaged_or_missing_file_is_refused(tmp_path, name):
    network = make(tmp_path)
    path = network.folder / name
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(UserError, match="is damaged or another int8 network"):
        QuantisedNetwork.open(tmp_path, network.digest)
    path.unlink()
    with pytest.raises(UserError, match=f"{name} is missing, the int8 network of .*`int8_from`"):
        QuantisedNetwork.open(tmp_path, network.digest)


def test_float_and_int8_are_never_mixed(tmp_path):
    make_store(tmp_path / "float", "")
    with pytest.raises(UserError, match="int8 features are never mixed with them; use another `out`"):
        network_for(tmp_path / "float", None, no_calibration)
    with pytest.raises(UserError, match="its features are float; name one that was made with `precision=int8`"):
        network_for(tmp_path / "new", tmp_path / "float", no_calibration)
    with pytest.raises(UserError, match="this is not a store or checkpoint"):
        network_for(tmp_path / "new", tmp_path / "nowhere", no_calibration)
    make_store(tmp_path / "int8", make(tmp_path / "int8").digest)
    make_store(tmp_path / "other", make(tmp_path / "other", b"more").digest)
    with pytest.raises(UserError, match="was made with another int8 network; use another `out`"):
        network_for(tmp_path / "int8", tmp_path / "other", no_calibration)


@pytest.mark.parametrize(
    ("backbone", "weights", "size", "line"),
    [
        ("vgg16", RANDOM, (32, 32), "was made of tiny at 32x32, not of vgg16 at 32x32"),
        ("tiny", RANDOM, (32, 64), "was made of tiny at 32x32, not of tiny at 32x64"),
        ("tiny", WeightsSource("random:1"), (32, 32), "was made of other weights than `weights=random:1`"),
    ],
)
def test_it_belongs_to_one_network(tmp_path, backbone, weights, size, line):
    network = make(tmp_path)
    network.check_fits("tiny", RANDOM, (32, 32))
    with pytest.raises(UserError, match=line):
        network.check_fits(backbone, weights, size)
