"""What is kept between starts: converted networks and measurements, and what happens where they cannot be kept."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.extraction.network import backbone as keras_backbone
from pipeline.extraction.network import load
from pipeline.extraction.network.backbone import Backbone
from pipeline.extraction.network.engines import measure
from pipeline.extraction.network.engines.choose import Choice
from pipeline.extraction.network.load import load_backbone
from pipeline.extraction.network.weights import WeightsSource
from pipeline.extraction.recipe import Recipe
from pipeline.files.user_cache import VARIABLE

pytest.importorskip("openvino")
RECIPE = Recipe("all", "tiny", "", 24, 24)
RANDOM = WeightsSource("random:2")
IMAGES = np.random.default_rng(0).integers(0, 256, (5, 24, 24, 3), dtype=np.uint8)
OV32, K32, OV16 = Choice("openvino", "float32"), Choice("keras", "float32"), Choice("openvino", "bfloat16")


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A cache folder of the test, on a processor that has bfloat16."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr("pipeline.extraction.network.engines.choose.has_bfloat16", lambda: True)
    monkeypatch.setattr(load, "processors", lambda: 2)  # four images are timed
    return tmp_path / "cache"


@pytest.fixture
def timings(monkeypatch):
    """Have the measurement find these seconds; says how often it was asked."""
    asked = []

    def find(**seconds: list[float]):
        def made_up(prepare, images, **others):
            asked.append(list(prepare))
            return {choice: seconds[f"{choice.engine}_{choice.precision}"] for choice in prepare}

        monkeypatch.setattr(measure, "measure", made_up)
        return asked

    return find


def made(lines=None, **options):
    say = (lines if lines is not None else []).append
    return load_backbone(RECIPE, Path(), weights=RANDOM, batch=4, say=say, **options)


def no_keras(monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("Keras builds a network")

    monkeypatch.setattr(keras_backbone, "build_network", refuse)


def test_the_second_time_no_keras_builds_the_network(timings, monkeypatch):
    asked = timings(openvino_float32=[1, 1], keras_float32=[2, 2], openvino_bfloat16=[8, 8], keras_bfloat16=[8, 8])
    first, lines = made(), []
    no_keras(monkeypatch)
    second = made(lines)
    exact = first(IMAGES)
    np.testing.assert_array_equal(exact, second(IMAGES))
    assert (second.engine, second.precision, second.digest) == ("openvino", "float32", first.digest)
    assert len(asked) == 1
    measured = "measured on its first layers: OpenVINO float32 4.0, Keras float32 2.0, OpenVINO bfloat16 0.5, Keras "
    assert len(lines) == 1
    assert f" processors, float32, OpenVINO ({measured}" in lines[0].replace("processor,", "processors,")
    assert second.provenance["measured"].startswith(measured)
    assert second.provenance["precision"] == "float32"


def test_features_are_those_of_keras(timings):
    timings(openvino_float32=[4, 4], keras_float32=[5, 5], openvino_bfloat16=[9, 9], keras_bfloat16=[9, 9])
    exact = Backbone("tiny", weights=RANDOM, size=(24, 24))
    for found in (made(), made()):
        assert found.digest == exact.digest
        np.testing.assert_allclose(found(IMAGES), exact(IMAGES), rtol=1e-4, atol=1e-5)


def test_the_measurement_decides_and_can_be_asked_for_anew(timings):
    asked = timings(openvino_float32=[4, 4], keras_float32=[4, 4], openvino_bfloat16=[2, 2], keras_bfloat16=[4, 4])
    assert made().precision == "bfloat16"
    assert made(precision="float32").precision == "float32"  # of what was asked for
    assert made(engine="keras").engine == "keras"
    assert len(asked) == 1
    asked = timings(openvino_float32=[4, 4], keras_float32=[1, 1], openvino_bfloat16=[2, 2], keras_bfloat16=[4, 4])
    assert made().precision == "bfloat16"
    assert (made(measure=True).engine, made().engine, len(asked)) == ("keras", "keras", 2)


def test_noise_is_float32(timings):
    timings(openvino_float32=[4, 9, 5], keras_float32=[3, 9, 5], openvino_bfloat16=[2, 5, 1], keras_bfloat16=[1, 9, 2])
    assert (made().engine, made().precision) == ("openvino", "float32")


@pytest.mark.parametrize("fact", ["processor_model", "processors", "processor_flags"])
def test_another_machine_is_measured_anew(fact, timings, monkeypatch):
    asked = timings(openvino_float32=[4], keras_float32=[5], openvino_bfloat16=[9], keras_bfloat16=[9])
    made()
    monkeypatch.setattr(f"pipeline.extraction.network.kept.{fact}", lambda: ["another"])
    made()
    assert len(asked) == 2


def test_nothing_is_measured_where_nothing_is_to_be_chosen(timings):
    asked = timings()
    assert made(engine="openvino", precision="float32").measured == ""
    assert made(precision="float16").engine == "keras"
    assert asked == []


def test_a_folder_that_cannot_be_written_is_one_line(timings, tmp_path, monkeypatch):
    asked = timings(openvino_float32=[4], keras_float32=[5], openvino_bfloat16=[9], keras_bfloat16=[9])
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "file" / "cache"))
    lines: list[str] = []
    for _ in range(2):
        np.testing.assert_allclose(
            made(lines)(IMAGES), Backbone("tiny", weights=RANDOM, size=(24, 24))(IMAGES), atol=1e-4
        )
    assert [line for line in lines if line.startswith("note")] == [lines[0]]
    assert "cannot be written (Not a directory), so that every start takes longer" in lines[0]
    assert len(asked) == 2


def spoil_values(folder):
    (folder / "network.bin").write_bytes(b"rubbish")


def spoil_all(folder):
    for path in folder.iterdir():
        path.write_bytes(b"rubbish")


@pytest.mark.parametrize("spoil", [spoil_values, spoil_all])
def test_rubbish_is_one_line_and_made_anew(spoil, timings, place):
    timings(openvino_float32=[4], keras_float32=[5], openvino_bfloat16=[9], keras_bfloat16=[9])
    exact, lines = made()(IMAGES), []
    spoil(next((place / "networks").iterdir()))
    np.testing.assert_array_equal(made(lines)(IMAGES), exact)
    assert [line for line in lines if line.startswith("note: ")] == [lines[0]]
    assert lines[0].endswith("is damaged; it is made anew")
    np.testing.assert_array_equal(made(again := [])(IMAGES), exact)
    assert not again[0].startswith("note")


def test_a_real_measurement_of_a_small_network(place):
    """All that may compute here is timed; what is fast is the machine's affair."""
    found = made()
    assert found.measured.startswith("measured on its first layers: OpenVINO float32 ")
    assert "OpenVINO bfloat16 " in found.measured  # Keras' where time was left
    assert found.measured.endswith(" images/s")


@pytest.mark.slow
def test_the_second_process_imports_no_keras(place, monkeypatch):
    code = (
        "import sys, numpy as np\n"
        "from pathlib import Path\n"
        "from pipeline.extraction.network.load import load_backbone\n"
        "from pipeline.extraction.network.weights import WeightsSource\n"
        "from pipeline.extraction.recipe import Recipe\n"
        "found = load_backbone(Recipe('all', 'tiny', '', 24, 24), Path(), weights=WeightsSource('random:2'), batch=4)\n"
        "features = found(np.zeros((2, 24, 24, 3), np.uint8))\n"
        "print(features.shape, [name for name in ('keras', 'tensorflow') if name in sys.modules])"
    )
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    said = [subprocess.check_output([sys.executable, "-c", code], text=True).strip() for _ in range(2)]
    assert said == ["(2, 64) ['keras', 'tensorflow']", "(2, 64) []"]


def test_int8_is_not_measured(tmp_path):
    recipe = Recipe("all", "tiny", "", 24, 24, quantised="0" * 64)
    with pytest.raises(UserError, match="`measure=True`: an int8 network is computed by OpenVINO in any case"):
        load.load_backbone(recipe, tmp_path, weights=None, batch=1, measure=True)
