"""Networks that are files: the numbers of their own framework, whoever computes, and nothing else is read."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.extraction.network.by_file.description import SCALINGS
from pipeline.extraction.network.by_file.network_file import NetworkFile
from pipeline.extraction.network.by_file.onnx_parts import external_files
from pipeline.extraction.network.chosen import choose_network
from pipeline.extraction.network.load import load_backbone
from pipeline.extraction.network.weights import WeightsSource
from pipeline.extraction.recipe import Recipe
from tests.extraction.network.by_file.networks import SIDE, WIDTH, own_output, write_onnx, write_xml

pytest.importorskip("openvino")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
IMAGES = np.random.default_rng(0).integers(0, 256, (5, SIDE, SIDE, 3), dtype=np.uint8)
LAYERS = {
    "vector": ("vector", lambda out: out),
    "cls": ("tokens", lambda out: out[:, 0]),
    "mean": ("tokens", lambda out: out[:, 2:].mean(axis=1)),
    "cls+mean": ("tokens", lambda out: np.concatenate([out[:, 0], out[:, 2:].mean(axis=1)], axis=1)),
    "avg_pool": ("map", lambda out: out.mean(axis=(2, 3))),
    "max_pool": ("map", lambda out: out.max(axis=(2, 3))),
}


def loaded(path: Path, layer: str = "vector", *, side: int = SIDE, **options):
    recipe = Recipe("all", "file:net", "", side, side, layer=layer)
    options = {"precision": "float32", "batch": 4, **options}
    return load_backbone(recipe, Path(), weights=WeightsSource(str(path)), **options)


def cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return (one * other).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("layer", LAYERS)
def test_features_are_those_of_its_own_framework(layer, engine, tmp_path):
    kind, part = LAYERS[layer]
    path = write_onnx(tmp_path / "net.onnx", kind, prefix=2)
    mean, std = SCALINGS["imagenet"]
    expected = part(own_output(path, IMAGES, mean=mean, std=std))
    network = loaded(path, layer, engine=engine)
    found = network(IMAGES)
    assert (found.shape, network.shape) == (expected.shape, expected.shape[1:])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert cosines(found, expected).min() >= 0.9999


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_mean_std_and_order_of_channels_are_those_of_the_description(engine, tmp_path):
    mean, std = [0.1, 0.2, 0.3], [0.5, 0.6, 0.7]
    path = write_onnx(tmp_path / "net.onnx", mean=mean, std=std, channels="bgr")
    expected = own_output(path, IMAGES, mean=mean, std=std, bgr=True)
    np.testing.assert_allclose(loaded(path, engine=engine)(IMAGES), expected, rtol=1e-4, atol=1e-5)


def test_openvino_s_own_files_and_saved_models_are_read(tmp_path):
    import tensorflow as tf

    plain = write_onnx(tmp_path / "net.onnx")
    found = loaded(write_xml(tmp_path / "other.xml", plain))(IMAGES)
    np.testing.assert_allclose(found, loaded(plain)(IMAGES), atol=1e-5)

    kernel = tf.Variable(np.random.default_rng(1).standard_normal((4, 4, 3, WIDTH)).astype(np.float32))

    class Network(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None, SIDE, SIDE, 3), tf.float32)])
        def __call__(self, images):
            return tf.reduce_mean(tf.nn.conv2d(images, self.kernel, 4, "VALID"), (1, 2))

    network = Network()
    network.kernel = kernel
    tf.saved_model.save(network, str(tmp_path / "saved"))
    (tmp_path / "saved.yaml").write_text(f"size: [{SIDE}, {SIDE}]\nscaling: bytes\nlayout: channels-last\n")
    expected = network(tf.constant(IMAGES.astype(np.float32))).numpy()
    np.testing.assert_allclose(loaded(tmp_path / "saved")(IMAGES), expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_a_file_that_takes_one_image_a_call_gives_the_same(engine, tmp_path):
    mean, std = SCALINGS["imagenet"]
    path = write_onnx(tmp_path / "net.onnx", batch=1)
    expected = own_output(write_onnx(tmp_path / "any.onnx"), IMAGES, mean=mean, std=std)
    np.testing.assert_allclose(loaded(path, engine=engine)(IMAGES), expected, rtol=1e-4, atol=1e-5)


def test_tensors_beside_the_file_are_part_of_it(tmp_path):
    whole = write_onnx(tmp_path / "whole.onnx")
    path = write_onnx(tmp_path / "net.onnx", external="net.data")
    assert external_files(path) == ["net.data"]
    np.testing.assert_array_equal(loaded(path)(IMAGES), loaded(whole)(IMAGES))
    before = NetworkFile.open(path).digest
    values = bytearray((tmp_path / "net.data").read_bytes())
    values[3] ^= 1
    (tmp_path / "net.data").write_bytes(values)
    assert NetworkFile.open(path).digest != before


def test_the_digest_is_of_bytes_and_of_what_decides_features(tmp_path):
    def digest(**keys):
        return NetworkFile.open(write_onnx(tmp_path / "net.onnx", **keys)).digest

    first = digest()
    assert digest() == first
    assert digest(licence="GPL-3.0", source="'https://example.org'", name="another", crop="none") == first
    others = [digest(seed=1), digest(scaling="clip"), digest(channels="bgr"), digest(output="features")]
    assert len({first, *others}) == 5
    os.rename(tmp_path / "net.onnx", tmp_path / "moved.onnx")
    os.rename(tmp_path / "net.yaml", tmp_path / "moved.yaml")
    assert NetworkFile.open(tmp_path / "moved.onnx").digest == others[-1]


def outside(folder: Path) -> Path:
    path = write_onnx(folder / "inner/net.onnx", external="../elsewhere.data")
    return path


def absolute(folder: Path) -> Path:
    return write_onnx(folder / "inner/net.onnx", external=str(folder / "elsewhere.data"))


def by_a_link(folder: Path) -> Path:
    path = write_onnx(folder / "inner/net.onnx", external="net.data")
    (folder / "inner/net.data").rename(folder / "elsewhere.data")
    (folder / "inner/net.data").symlink_to(folder / "elsewhere.data")
    return path


@pytest.mark.parametrize("lead", [outside, absolute, by_a_link])
def test_tensors_outside_of_the_folder_are_not_read(lead, tmp_path):
    (tmp_path / "inner").mkdir()
    path = lead(tmp_path)
    with pytest.raises(UserError, match=r"net\.onnx keeps values in .* outside of its folder; it is not read"):
        choose_network(str(path))


def five_sided(path: Path, **keys) -> Path:
    made = onnx.load(write_onnx(path, **keys))
    clips = onnx.helper.make_tensor_value_info("images", onnx.TensorProto.FLOAT, ["n", 3, 8, SIDE, SIDE])
    made.graph.input[0].CopyFrom(clips)
    made.graph.node.insert(0, onnx.helper.make_node("ReduceMean", ["images"], ["still"], axes=[2], keepdims=0))
    made.graph.node[1].input[0] = "still"
    path.write_bytes(made.SerializeToString())
    return path


def of_any_rank(path: Path) -> Path:
    made = onnx.load(write_onnx(path))
    made.graph.input[0].CopyFrom(onnx.helper.make_tensor_value_info("images", onnx.TensorProto.FLOAT, None))
    del made.graph.node[:], made.graph.initializer[:]
    made.graph.node.append(onnx.helper.make_node("Abs", ["images"], ["features"]))
    path.write_bytes(made.SerializeToString())
    return path


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
@pytest.mark.parametrize(
    ("make", "keys", "layer", "said"),
    [
        (five_sided, {}, "vector", "takes an input of 5 sides"),
        (write_onnx, {"kind": "tokens"}, "vector", r"gives many tokens for each image, \(n, 17, 6\); name `layer`"),
        (write_onnx, {"kind": "map"}, "vector", r"gives a map for each image, \(n, 6, 4, 4\); name `pooling`"),
        (write_onnx, {}, "cls", r"gives a vector for each image, \(n, 6\); there is no layer cls"),
        (write_onnx, {"output": "nope"}, "vector", r"has no output 'nope'; expected one of features"),
        (write_onnx, {"layout": "channels-last"}, "vector", r"is its layout channels-first\? then say so"),
        (write_onnx, {"batch": 7}, "vector", "takes 7 images in each call; export it for any number, or for one"),
    ],
)
def test_what_does_not_fit_is_one_line(make, keys, layer, said, engine, tmp_path):
    path = make(tmp_path / "net.onnx", **keys)
    with pytest.raises(UserError, match=said) as error:
        loaded(path, layer, engine=engine)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_an_input_of_any_rank_is_one_line(tmp_path):
    with pytest.raises(UserError, match="takes an input of any number of sides; expected images of four"):
        loaded(of_any_rank(tmp_path / "net.onnx"), engine="openvino")


def test_another_size_than_the_file_takes_is_one_line(tmp_path):
    path = write_onnx(tmp_path / "net.onnx")
    with pytest.raises(UserError, match="takes images of 16x16 pixels, not 24x24"):
        loaded(path, side=24)
    assert loaded(write_onnx(tmp_path / "any.onnx", side="s"), side=24)(np.zeros((1, 24, 24, 3), np.uint8)).shape == (
        1,
        6,
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("size: [16, 16]\nscaling: imagenet\nsice: 3\n", r"net\.yaml: 'sice' is unknown"),
        ("size: [16, 16]\nscaling: nope\n", "scaling 'nope' is unknown; expected imagenet, clip"),
        ("size: [16, 16]\n", "give scaling"),
        ("size: [16, 16]\nscaling: clip\nmean: [1, 1, 1]\n", "give scaling"),
        ("size: [16]\nscaling: clip\n", r"size is \[16\]; expected \[height, width\]"),
        ("size: [16, 16]\nmean: [0, 0, 0]\nstd: [1, 0, 1]\n", "cannot be divided by"),
        ("size: [16, 16]\nscaling: clip\nlayer: last\n", "layer 'last' is unknown; expected vector, cls"),
        ("size: [16, 16]\nscaling: clip\nprefix_tokens: 0\nlayer: cls\n", "prefix_tokens is 0"),
        ("size: [16, 16]\nscaling: clip\nchannels: 3\n", "channels is 3; expected one of rgb, bgr"),
        ("[1, 2", "is not YAML"),
    ],
)
def test_a_wrong_description_is_one_line(text, said, tmp_path):
    path = write_onnx(tmp_path / "net.onnx", description=None)
    path.with_suffix(".yaml").write_text(text)
    with pytest.raises(UserError, match=said) as error:
        choose_network(str(path))
    assert "net.yaml" in str(error.value)


def test_what_is_missing_is_one_line(tmp_path):
    path = write_onnx(tmp_path / "net.onnx", description=None)
    with pytest.raises(UserError, match=r"has no net\.yaml beside it.*video-pipeline describe .*net\.onnx"):
        choose_network(str(path))
    with pytest.raises(UserError, match=r"gone\.onnx is missing"):
        choose_network(str(tmp_path / "gone.onnx"))
    write_onnx(tmp_path / "parts.onnx", external="parts.data")
    (tmp_path / "parts.data").unlink()
    with pytest.raises(UserError, match=r"parts\.data is missing, which belongs to parts\.onnx"):
        choose_network(str(tmp_path / "parts.onnx"))
    with pytest.raises(UserError, match=r"net\.onnx has weights of its own; leave it out"):
        choose_network(str(write_onnx(tmp_path / "net.onnx")), "random")
    with pytest.raises(UserError, match="is a network from a file; name the file itself"):
        choose_network("file:net")


@pytest.mark.parametrize("content", [b"", b"rubbish" * 100, bytes(100), b"\x3a\xff\xff\xff\xff\x7f"])
def test_rubbish_is_one_line(content, tmp_path):
    path = write_onnx(tmp_path / "net.onnx")
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"net\.onnx is not an ONNX file"):
        choose_network(str(path))


def test_a_damaged_file_is_one_line(tmp_path):
    path = write_onnx(tmp_path / "net.onnx", "tokens")
    content = path.read_bytes()
    path.write_bytes(content.replace(b"Softmax", b"Sootmax"))
    openvino = r"cannot be read by OpenVINO \(.*\); `engine=onnxruntime` may read it"
    for engine, said in (("openvino", openvino), ("onnxruntime", "cannot be read by ONNX Runtime")):
        with pytest.raises(UserError, match=said):
            loaded(path, "cls", engine=engine)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"engine": "keras"}, "`engine=keras` does not compute networks that are files"),
        ({"engine": "onnxruntime", "precision": "bfloat16"}, "ONNX Runtime computes as the file says"),
        ({"precision": "float16"}, "OpenVINO computes in float32"),
    ],
)
def test_what_cannot_compute_it_is_refused(options, said, tmp_path):
    with pytest.raises(UserError, match=said):
        loaded(write_onnx(tmp_path / "net.onnx"), **options)


def test_onnxruntime_reads_onnx_only(tmp_path):
    path = write_xml(tmp_path / "other.xml", write_onnx(tmp_path / "net.onnx"))
    with pytest.raises(UserError, match=r"reads files ending in \.onnx"):
        loaded(path, engine="onnxruntime")


def test_a_file_of_weights_is_not_taken_for_a_network(tmp_path):
    recipe = Recipe("all", "tiny", "", 24, 24)
    with pytest.raises(UserError, match="this is a network, not the weights of tiny"):
        load_backbone(recipe, Path(), weights=WeightsSource(str(write_onnx(tmp_path / "net.onnx"))), batch=1)
    with pytest.raises(UserError, match="file:net is a network from a file; name that file"):
        load_backbone(Recipe("all", "file:net", "", 24, 24), Path(), weights=WeightsSource("random"), batch=1)
