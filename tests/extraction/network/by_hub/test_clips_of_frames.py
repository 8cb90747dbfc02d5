"""VideoPrism as a preset of keras-hub: clips of frames by its own converter, the numbers of its own model."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.extraction.network.chosen import check_frames, choose_layer, choose_network
from pipeline.extraction.network.load import load_backbone
from pipeline.extraction.network.weights import WeightsSource
from pipeline.extraction.recipe import Recipe
from tests.extraction.network.by_hub.presets import FRAMES, OFFSET, SCALE, SIDE, WIDTH, write_preset

keras_hub = pytest.importorskip("keras_hub")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # of keras-hub 0.32
CLIPS = np.random.default_rng(0).integers(0, 256, (3, FRAMES, SIDE, SIDE, 3), dtype=np.uint8)
SCALED = CLIPS * np.array(SCALE, np.float32) + np.array(OFFSET, np.float32)


@pytest.fixture(scope="module")
def presets(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("presets")
    return {kind: write_preset(folder / kind, kind) for kind in ("videoprism", "videoprism_lvt")}


def loaded(preset: Path, **options):
    text = f"hub:{preset}"
    network, _ = choose_network(text)
    recipe = Recipe(f"clips:{FRAMES}@8/1", network.name, "", SIDE, SIDE, layer=choose_layer(network))
    check_frames(network, recipe)
    options = {"precision": "float32", "batch": 2, "engine": "keras", **options}
    return load_backbone(recipe, Path(), weights=WeightsSource(text), **options)


@pytest.mark.parametrize("engine", ["keras", "openvino"])
def test_features_are_the_mean_of_its_tokens(presets, engine):
    if engine == "openvino":
        pytest.importorskip("openvino")
    own = keras_hub.models.Backbone.from_preset(str(presets["videoprism"])).predict(SCALED, verbose=0)
    network = loaded(presets["videoprism"], engine=engine)
    found = network(CLIPS)
    assert (own.shape[:2], network.shape) == ((3, FRAMES), (WIDTH,))
    np.testing.assert_allclose(found, own.mean(axis=(1, 2)), rtol=1e-3, atol=1e-4)
    assert np.abs(network(CLIPS[:, ::-1]) - found).max() > 1e-4  # it sees the order of the frames


@pytest.mark.slow
def test_with_texts_it_gives_the_vector_that_is_compared_with_them(presets):
    model = keras_hub.models.Backbone.from_preset(str(presets["videoprism_lvt"]))
    words = np.ones((3, 5), np.int32)
    own = model.predict({"pixel_values": SCALED, "token_ids": words, "padding_mask": words}, verbose=0)
    network, _ = choose_network(f"hub:{presets['videoprism_lvt']}")
    assert network.layer == "vector"
    found = loaded(presets["videoprism_lvt"])(CLIPS)
    np.testing.assert_allclose(found, own["vision_embeddings"], rtol=1e-3, atol=1e-4)


def test_frames_size_and_batch_are_those_of_the_preset(presets):
    network, _ = choose_network(f"hub:{presets['videoprism']}")
    assert (network.frames, network.check_size(None), network.layer) == (FRAMES, (SIDE, SIDE), "mean")
    assert loaded(presets["videoprism"], batch=0).batch == 32 // FRAMES
    with pytest.raises(UserError, match="takes images of 16x16 only"):
        network.check_size((32, 32))


@pytest.mark.parametrize(
    ("sampling", "said"),
    [("uniform:20", "takes clips of 4 frames; choose"), ("clips:8@8/1", "takes clips of 4 frames, not of 8; choose")],
)
def test_another_sampling_is_one_line(sampling, said, presets):
    text = f"hub:{presets['videoprism']}"
    network, _ = choose_network(text)
    recipe = Recipe(sampling, network.name, "", SIDE, SIDE, layer="mean")
    for refused in (
        lambda: check_frames(network, recipe),
        lambda: load_backbone(recipe, Path(), weights=WeightsSource(text), batch=1),
    ):
        with pytest.raises(UserError, match=said):
            refused()
    with pytest.raises(UserError, match="expected mean"):
        load_backbone(
            replace(recipe, sampling=f"clips:{FRAMES}@8/1", layer="cls"),
            Path(),
            weights=WeightsSource(text),
            batch=1,
            engine="keras",
        )


@pytest.mark.parametrize("frames", [0, -1, None, "4", True, 10**9])
def test_a_preset_that_tells_no_number_of_frames_is_one_line(frames, tmp_path, presets):
    folder = tmp_path / "net"
    folder.mkdir()
    for path in presets["videoprism"].iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    content = json.loads((folder / "config.json").read_text())
    content["config"]["num_frames"] = frames
    (folder / "config.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match="tells no number of frames"):
        choose_network(f"hub:{folder}")
