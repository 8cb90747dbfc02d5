"""Presets of keras-hub: the numbers that keras-hub's own call gives, and one line for each thing that may be wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.extraction.network.by_hub import download as downloading
from pipeline.extraction.network.by_hub.preset import Preset
from pipeline.extraction.network.chosen import choose_layer, choose_network
from pipeline.extraction.network.load import load_backbone
from pipeline.extraction.network.weights import WeightsSource
from pipeline.extraction.recipe import Recipe
from tests.extraction.network.by_hub.presets import SIDE, write_preset

keras_hub = pytest.importorskip("keras_hub")
pytest.importorskip("openvino")
# keras-hub 0.32 and what it stands on
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]
IMAGES = np.random.default_rng(0).integers(0, 256, (5, SIDE, SIDE, 3), dtype=np.uint8)
# kind: default layer, tokens before those of the patches
KINDS = {
    "dinov2": ("cls+mean", 3),
    "dinov3": ("cls", 4),
    "vit": ("cls", 1),
    "deit": ("cls", 2),
    "clip": ("cls", 1),
    "siglip": ("vector", 0),
    "resnet": ("avg_pool", 0),
}


@pytest.fixture(scope="module")
def presets(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("presets")
    return {kind: write_preset(folder / kind, kind) for kind in (*KINDS, "bert")}


def loaded(folder: Path, layer: str | None = None, *, side: int = SIDE, **options):
    network, source = choose_network(f"hub:{folder}")
    recipe = Recipe("all", network.name, "", side, side, layer=choose_layer(network, layer))
    return load_backbone(recipe, Path(), weights=source, **{"precision": "float32", "batch": 4, **options})


def own(folder: Path, layer: str, prefix: int, images: np.ndarray = IMAGES) -> np.ndarray:
    """What keras-hub's own converter and backbone give."""
    backbone = keras_hub.models.Backbone.from_preset(str(folder))
    backbone = getattr(backbone, "vision_encoder", backbone)
    pixels = keras_hub.layers.ImageConverter.from_preset(str(folder))(images)
    name = next(iter(backbone.input)) if isinstance(backbone.input, dict) else None
    found = backbone({name: pixels} if name else pixels, training=False)
    out = np.asarray(found)
    parts = {"vector": lambda: out, "avg_pool": lambda: out.mean(axis=(1, 2)), "max_pool": lambda: out.max(axis=(1, 2))}
    parts |= {"cls": lambda: out[:, 0], "mean": lambda: out[:, prefix:].mean(axis=1)}
    parts["cls+mean"] = lambda: np.concatenate([parts["cls"](), parts["mean"]()], axis=1)
    return parts[layer]()


@pytest.mark.parametrize("engine", ["keras", "openvino"])
@pytest.mark.parametrize("kind", KINDS)
def test_features_are_those_of_keras_hub(kind, engine, presets):
    layer, prefix = KINDS[kind]
    found = loaded(presets[kind], engine=engine)(IMAGES)
    expected = own(presets[kind], layer, prefix)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
    cosine = (found * expected).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(expected, axis=1)
    assert cosine.min() >= 0.9999


@pytest.mark.parametrize("layer", ["cls", "mean", "cls+mean"])
def test_the_layer_can_be_chosen(layer, presets):
    found = loaded(presets["dinov2"], layer, engine="openvino")(IMAGES)
    np.testing.assert_allclose(found, own(presets["dinov2"], layer, 3), rtol=1e-3, atol=1e-4)


def test_what_the_converter_says_is_done(tmp_path):
    folder = write_preset(
        tmp_path / "net", "vit", licence="cc-by-4.0", crop_to_aspect_ratio=False, interpolation="bicubic"
    )
    network, source = choose_network(f"hub:{folder}")
    assert (network.name, network.crop, network.interpolation) == ("hub:net", "none", "bicubic")
    assert (network.check_size(None), network.licence, source.licence) == ((SIDE, SIDE), "cc-by-4.0", "cc-by-4.0")
    assert Preset.open(str(write_preset(tmp_path / "none", "vit"))).licence == "unknown"


def test_converters_of_the_first_presets_are_read(presets, tmp_path):
    old = {"height": SIDE, "width": SIDE, "scale": 1 / 255, "mean": [0.5, 0.4, 0.3], "variance": [0.04, 0.09, 0.16]}
    shutil.copytree(presets["vit"], tmp_path / "net")
    change(tmp_path / "net", "image_converter.json", ["config"], old)
    preset = Preset.open(str(tmp_path / "net"))
    scale, offset = (np.array(numbers) for numbers in preset.scale)
    assert preset.own_size == (SIDE, SIDE)
    own = keras_hub.layers.ImageConverter(**old)
    np.testing.assert_allclose(IMAGES * scale + offset, np.asarray(own(IMAGES)), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_networks_of_computed_positions_take_other_sizes(presets):
    for kind in ("dinov2", "dinov3", "resnet"):
        assert loaded(presets[kind], side=32, engine="openvino")(np.zeros((1, 32, 32, 3), np.uint8)).shape[0] == 1
    network, _ = choose_network(f"hub:{presets['vit']}")
    with pytest.raises(UserError, match="hub:vit takes images of 16x16 only; leave out `size`"):
        network.check_size((32, 32))
    network, _ = choose_network(f"hub:{presets['dinov3']}")
    with pytest.raises(UserError, match="size 30x30 is not made of whole patches of 4 pixels"):
        network.check_size((30, 30))


@pytest.mark.slow
def test_the_digest_is_of_weights_and_of_what_the_preset_decides(tmp_path):
    def digests(folder: Path) -> tuple[str, str]:
        return loaded(folder, engine="keras").digest, WeightsSource(f"hub:{folder}").key()

    first = digests(write_preset(tmp_path / "one", "vit"))
    assert digests(write_preset(tmp_path / "same", "vit"))[0] == first[0]
    for number, change in enumerate(({"seed": 1}, {"scale": 0.5})):
        others = digests(write_preset(tmp_path / f"other{number}", "vit", **change))
        assert (others[0] != first[0], others[1] != first[1]) == (True, True)


def test_the_second_time_no_keras_builds_it(presets, monkeypatch):
    first = loaded(presets["vit"], engine="openvino")
    monkeypatch.setattr("pipeline.extraction.network.backbone.build_network", None)
    np.testing.assert_array_equal(loaded(presets["vit"], engine="openvino")(IMAGES), first(IMAGES))


# -- what may be wrong -----------------------------------------------------------------------------


def test_a_preset_of_another_task_is_one_line(presets):
    with pytest.raises(UserError, match=r"bert is a 'BertBackbone', which is no network from images to vectors"):
        choose_network(f"hub:{presets['bert']}")


def test_the_nearest_three_names_are_told():
    with pytest.raises(UserError, match="no preset that keras-hub knows") as error:
        choose_network("hub:dinov2_smal")
    nearest = str(error.value).partition("the nearest are ")[2].split(", ")
    assert len(nearest) == 3
    assert nearest[0] == "hub:dinov2_small"


def test_no_internet_is_one_line(monkeypatch):
    from keras_hub.src.utils import preset_utils

    def offline(*arguments):
        raise ConnectionError("HTTPSConnectionPool: Max retries exceeded\nName resolution failed")

    monkeypatch.setattr(preset_utils, "get_file", offline)
    with pytest.raises(UserError, match=r"hub:dinov2_small cannot be downloaded \(HTTPS.*\); .* hub:FOLDER") as error:
        choose_network("hub:dinov2_small")
    assert "\n" not in str(error.value)


def test_without_keras_hub_it_is_one_line(monkeypatch):
    monkeypatch.setattr(downloading.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"needs keras-hub: pip install video-pipeline\[hub\]"):
        choose_network("hub:dinov2_small")


def change(folder: Path, file: str, path: list, value) -> None:
    content = json.loads((folder / file).read_text())
    place = content
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    (folder / file).write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("file", "path", "value", "said"),
    [
        ("config.json", ["module"], "os", "names 'ViTBackbone' of 'os', which is no network of keras-hub"),
        ("config.json", ["registered_name"], "mine>ViTBackbone", "which is no network of keras-hub"),
        ("config.json", ["config", "dtype"], {"class_name": "Lambda", "module": "keras.layers"}, "names 'Lambda'"),
        ("config.json", ["config"], 3, "is damaged"),
        ("image_converter.json", ["class_name"], "Lambda", "names 'Lambda'"),
        ("image_converter.json", ["config", "scale"], [1, 2], "scale of image_converter.json is a list"),
        ("image_converter.json", ["config", "image_size"], "large", "tells no size of images"),
    ],
)
def test_settings_of_strangers_run_nothing(file, path, value, said, presets, tmp_path):
    shutil.copytree(presets["vit"], tmp_path / "net")
    change(tmp_path / "net", file, path, value)
    with pytest.raises(UserError, match=said):
        choose_network(f"hub:{tmp_path / 'net'}")


def test_damaged_weights_are_one_line(presets, tmp_path):
    shutil.copytree(presets["vit"], tmp_path / "net")
    (tmp_path / "net/model.weights.h5").write_bytes(b"rubbish")
    with pytest.raises(UserError, match=r"model\.weights\.h5: the file cannot be read"):
        loaded(tmp_path / "net", engine="keras")
    (tmp_path / "net/model.weights.h5").unlink()
    with pytest.raises(UserError, match=r"model\.weights\.h5 is missing"):
        loaded(tmp_path / "net", engine="keras")
    with pytest.raises(UserError, match="has weights of its own; leave it out"):
        choose_network(f"hub:{presets['vit']}", "random")
    with pytest.raises(UserError, match="there is no such folder"):
        choose_network(f"hub:{tmp_path / 'gone'}")


def test_a_layer_it_does_not_have_is_one_line(presets):
    with pytest.raises(UserError, match="there is no layer to choose"):
        loaded(presets["siglip"], "mean", engine="keras")
