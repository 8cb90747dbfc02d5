"""Network files that take clips of frames: the numbers of their own framework, in every layout, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.extraction.network.by_file.describe import describe
from pipeline.extraction.network.by_file.description import SCALINGS, description_text, read_description
from pipeline.extraction.network.by_file.network_file import NetworkFile
from pipeline.extraction.network.load import load_backbone
from pipeline.extraction.network.weights import WeightsSource
from pipeline.extraction.recipe import Recipe
from tests.extraction.network.by_file.clip_networks import FRAMES, LAYOUTS, SIDE, WIDTH, own_output, write_clip_onnx
from tests.extraction.network.by_file.networks import write_onnx, write_xml

pytest.importorskip("openvino")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
CLIPS = np.random.default_rng(0).integers(0, 256, (5, FRAMES, SIDE, SIDE, 3), dtype=np.uint8)
IMAGENET = dict(zip(("mean", "std"), SCALINGS["imagenet"], strict=True))


def loaded(path: Path, layer: str = "vector", *, sampling: str = f"clips:{FRAMES}@8/1", **options):
    recipe = Recipe(sampling, "file:net", "", SIDE, SIDE, layer=layer)
    options = {"precision": "float32", "batch": 2, **options}
    return load_backbone(recipe, Path(), weights=WeightsSource(str(path)), **options)


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", ["vector", "tokens", "map"])
def test_features_are_those_of_its_own_framework(kind, layout, engine, tmp_path):
    path = write_clip_onnx(tmp_path / "net.onnx", kind, layout=layout)
    expected = own_output(path, CLIPS, layout=layout, **IMAGENET)
    if kind == "tokens":
        expected = expected.mean(axis=1)
    elif kind == "map":
        expected = expected.mean(axis=tuple(i for i, axis in enumerate(LAYOUTS[layout]) if axis in "thw"))
    network = loaded(path, {"vector": "vector", "tokens": "mean", "map": "avg_pool"}[kind], engine=engine)
    found = network(CLIPS)
    assert (found.shape, network.shape) == ((5, WIDTH), (WIDTH,))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    backwards = network(CLIPS[:, ::-1])
    assert np.abs(backwards - found).max() > 1e-3  # it sees the order of the frames


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_order_of_channels_and_one_clip_a_call(layout, engine, tmp_path):
    scaling = {"mean": [0.1, 0.2, 0.3], "std": [0.5, 0.6, 0.7]}
    path = write_clip_onnx(tmp_path / "net.onnx", layout=layout, batch=1, channels="bgr")
    lines = path.with_suffix(".yaml").read_text().replace("scaling: imagenet", "mean: [0.1, 0.2, 0.3]")
    path.with_suffix(".yaml").write_text(lines + "std: [0.5, 0.6, 0.7]\n")
    any_number = write_clip_onnx(tmp_path / "any.onnx", layout=layout)
    expected = own_output(any_number, CLIPS, layout=layout, bgr=True, **scaling)
    np.testing.assert_allclose(loaded(path, engine=engine)(CLIPS), expected, rtol=1e-4, atol=1e-5)


def test_openvino_s_own_files_and_saved_models_are_read(tmp_path):
    import tensorflow as tf

    plain = write_clip_onnx(tmp_path / "net.onnx", "tokens", layout="channels-first")
    found = loaded(write_xml(tmp_path / "other.xml", plain), "mean")(CLIPS)
    np.testing.assert_allclose(found, loaded(plain, "mean")(CLIPS), atol=1e-5)

    kernel = np.random.default_rng(1).standard_normal((2, 4, 4, 3, WIDTH)).astype(np.float32)

    class Network(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None, FRAMES, SIDE, SIDE, 3), tf.float32)])
        def __call__(self, clips):
            return tf.reduce_mean(tf.nn.conv3d(clips, kernel, (1, 2, 4, 4, 1), "VALID"), (2, 3))  # a token a moment

    network = Network()
    tf.saved_model.save(network, str(tmp_path / "saved"))
    about = f"size: [{SIDE}, {SIDE}]\nscaling: bytes\nlayout: channels-last\nframes: {FRAMES}\n"
    (tmp_path / "saved.yaml").write_text(about + "layer: mean\nprefix_tokens: 0\n")
    expected = network(tf.constant(CLIPS.astype(np.float32))).numpy().mean(axis=1)
    np.testing.assert_allclose(loaded(tmp_path / "saved", "mean")(CLIPS), expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_a_file_of_any_number_of_frames_takes_that_of_its_description(engine, tmp_path):
    path = write_clip_onnx(tmp_path / "net.onnx", frames="t", said=FRAMES)
    whole = write_clip_onnx(tmp_path / "whole.onnx")
    np.testing.assert_allclose(loaded(path, engine=engine)(CLIPS), loaded(whole)(CLIPS), rtol=1e-4, atol=1e-5)
    path = write_clip_onnx(tmp_path / "net.onnx", frames="t", said=2)
    assert loaded(path, engine=engine, sampling="clips:2@8/1")(CLIPS[:, :2]).shape == (5, WIDTH)


def test_fewer_clips_than_images_go_into_a_call(tmp_path):
    network = loaded(write_clip_onnx(tmp_path / "net.onnx"), batch=0)
    assert network.batch == 32 // FRAMES
    network = loaded(write_clip_onnx(tmp_path / "net.onnx"), batch=0, engine="onnxruntime")
    assert network.batch == 32 // FRAMES


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", ["vector", "tokens", "map"])
def test_it_is_described_and_can_be_used_as_it_is(kind, layout, tmp_path):
    path = write_clip_onnx(tmp_path / "net.onnx", kind, layout=layout, description=False)
    found = describe(path)
    path.with_suffix(".yaml").write_text(description_text(found.description, found.guessed))
    about = read_description(path)
    assert about == found.description
    assert (about.frames, about.layout, about.size) == (FRAMES, layout, [SIDE, SIDE])
    layer = {"vector": "vector", "tokens": "mean", "map": "avg_pool"}[kind]
    assert (about.layer, about.prefix_tokens) == (layer, 0 if kind == "tokens" else 1)
    assert f"--sampling clips:{FRAMES}@F/S" in found.guessed["frames"]
    assert "told from the input" in found.guessed["layout"]
    assert loaded(path, about.layer)(CLIPS).shape == (5, WIDTH)


def test_any_number_of_frames_is_guessed(tmp_path):
    found = describe(write_clip_onnx(tmp_path / "net.onnx", frames="t", description=False))
    assert found.description.frames == 16
    assert found.guessed["frames"] == "guessed: the file takes any number; 16 is usual"


def test_a_network_of_images_has_the_digest_that_it_had(tmp_path):
    """By bytes that do not depend on the version of a library: those of stores that are there do not change."""
    (tmp_path / "net.onnx").write_bytes(b"\x3a\x00")  # an empty graph
    (tmp_path / "net.yaml").write_text("size: [16, 16]\nscaling: imagenet\n")
    digest = NetworkFile.open(tmp_path / "net.onnx").digest
    assert digest == "7c7e50a3bc69ea74b2054e7f7ae99768117feb6206c9d0e0da4a274f24c15536"
    (tmp_path / "net.yaml").write_text("size: [16, 16]\nscaling: imagenet\nframes: 8\n")
    assert NetworkFile.open(tmp_path / "net.onnx").digest != digest


@pytest.mark.parametrize(
    ("keys", "sampling", "said"),
    [
        (
            {"said": None, "layout": "channels-first"},
            "uniform:2",
            "of 5 sides, (?, 3, 4, 16, 16): clips of frames; say by frames in its description",
        ),
        ({"said": None}, "uniform:2", "layout time-first is of clips of frames; say by frames how many"),
        ({"said": 8}, "clips:8@8/1", "takes clips of 4 frames, and its description has frames 8"),
        ({}, "clips:8@8/1", "takes clips of 4 frames, not of 8; choose for example `sampling=clips:4@8/1`"),
        ({}, "fps:2", "takes clips of 4 frames; choose for example `sampling=clips:4@8/1`"),
        ({"layout": "channels-first", "layout_said": "channels-last"}, "clips:4@8/1", "is its layout channels-first?"),
        ({"said": 300}, "clips:4@8/1", "frames is 300; expected how many the network takes at once, up to 256"),
        ({"said": -2}, "clips:4@8/1", "frames is -2; expected"),
        ({"batch": 3}, "clips:4@8/1", "takes 3 images in each call"),
    ],
)
@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_what_does_not_fit_is_one_line(keys, sampling, said, engine, tmp_path):
    other = keys.pop("layout_said", None) if (keys := dict(keys)) else None
    path = write_clip_onnx(tmp_path / "net.onnx", **keys)
    if other:
        text = path.with_suffix(".yaml").read_text()
        path.with_suffix(".yaml").write_text(text.replace("layout: channels-first", f"layout: {other}"))
    with pytest.raises(UserError) as refused:
        loaded(path, sampling=sampling, engine=engine)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_a_network_of_images_takes_no_clips(engine, tmp_path):
    path = write_onnx(tmp_path / "net.onnx")
    with pytest.raises(UserError, match="takes single images, not clips of frames"):
        loaded(path, engine=engine)
    write_onnx(tmp_path / "net.onnx", frames=4)
    with pytest.raises(UserError, match=r"of 4 sides, \(\?, 3, 16, 16\), and its description has frames 4"):
        loaded(path, engine=engine)


def test_time_first_is_of_clips(tmp_path):
    path = write_onnx(tmp_path / "net.onnx", layout="time-first")
    with pytest.raises(UserError, match="layout time-first is of clips of frames"):
        read_description(path)
