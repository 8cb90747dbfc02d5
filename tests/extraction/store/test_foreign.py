"""Sequences of other programs: what is time and what is dimension, and that every layout gives the same store."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.extraction.store.foreign_arrays import find_layout
from pipeline.extraction.store.import_export import ImportSpec, export_parquet, import_features
from pipeline.extraction.store.store import FeatureStore

LENGTHS = {"a": 3, "b": 7, "c": 5}
D = 12


def drawn() -> dict[str, np.ndarray]:
    draw = np.random.default_rng(0)
    return {name: draw.standard_normal((steps, D)).astype(np.float16) for name, steps in LENGTHS.items()}


@pytest.fixture
def table(tmp_path) -> Path:
    path = tmp_path / "list.csv"
    path.write_text("file,label\n" + "".join(f"{name},{name.upper()}\n" for name in LENGTHS))
    return path


def write_npy(folder: Path, arrange=lambda array: array) -> Path:
    folder.mkdir()
    for name, array in drawn().items():
        np.save(folder / f"{name}.npy", arrange(array))
    return folder


def write_npz(folder: Path) -> Path:
    folder.mkdir()
    for name, array in drawn().items():
        np.savez(folder / f"{name}.npz", feats=array)
    return folder


def write_h5_each(folder: Path) -> Path:
    folder.mkdir()
    for name, array in drawn().items():
        with h5py.File(folder / f"{name}.h5", "w") as file:
            file["features"] = array
            file["fps"] = 25.0
    return folder


def write_h5_all(folder: Path) -> Path:
    path = folder.with_suffix(".h5")
    with h5py.File(path, "w") as file:
        for name, array in drawn().items():
            file[f"{name}/c3d_features"] = array
    return path


LAYOUTS = {
    "steps first": write_npy,
    "steps last": lambda folder: write_npy(folder, lambda array: array.T),
    "a side of one before": lambda folder: write_npy(folder, lambda array: array[None]),
    "sides of one after": lambda folder: write_npy(folder, lambda array: array[:, :, None, None]),
    "crops between": lambda folder: write_npy(folder, lambda array: np.stack([array - 1, array, array + 1], 1)),
    "crops first": lambda folder: write_npy(folder, lambda array: np.stack([array - 1, array + 1])),
    "npz": write_npz,
    "h5 each": write_h5_each,
    "h5 of all": write_h5_all,
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same(layout, table, tmp_path):
    place = LAYOUTS[layout](tmp_path / "arrays")
    done = import_features(place, table, tmp_path / "store", spec=ImportSpec(step=0.5))
    assert (done.added, done.failed) == (3, {})
    assert f"dimension the {'first' if layout == 'steps last' else 'last'} one ({D})" in done.took
    store = FeatureStore(tmp_path / "store")
    for name, array in drawn().items():
        sequence = store.read(name)
        np.testing.assert_allclose(sequence.features, array, atol=0.01 if "crops" in layout else 0)
        np.testing.assert_allclose(sequence.times, 0.5 * np.arange(len(array)))
    assert [video.label for video in store.catalog] == ["A", "B", "C"]
    assert import_features(place, table, tmp_path / "store").present == 3


@pytest.mark.parametrize(
    ("shapes", "time", "dimension", "crops", "unsure"),
    [
        ([(5, 2048), (9, 2048)], 0, 1, None, False),
        ([(1024, 5), (1024, 9)], 1, 0, None, False),
        ([(20, 2048)], 0, 1, None, False),
        ([(2048, 20)], 1, 0, None, False),
        ([(20, 30)], 0, 1, None, True),
        ([(5, 10, 1024), (9, 10, 1024)], 0, 2, 1, False),
        ([(10, 5, 1024), (10, 9, 1024)], 1, 2, 0, False),
        ([(5, 10, 1024), (9, 7)], 0, 2, 1, False),
        ([(5, 8), (5, 8), (6, 9), (7, 8)], 0, 1, None, False),
    ],
)
def test_time_is_the_side_that_differs(shapes, time, dimension, crops, unsure):
    found = find_layout(shapes)
    assert (found.time, found.dimension, found.crops, found.unsure) == (time, dimension, crops, unsure)


def test_who_knows_says_which_side_is_time():
    assert find_layout([(20, 30)], "last").dimensions == 20
    assert find_layout([(20, 30)], "first").dimensions == 30


@pytest.mark.parametrize(
    ("shapes", "said"),
    [
        ([(3, 4), (5, 6), (7, 8), (9, 10)], "arrays share no side"),
        ([(30, 40, 50), (31, 40, 50)], "none of them is one of up to 10 crops"),
        ([(2, 3, 4, 5, 6)], r"expected an array of shape \(steps, features\), found \(2, 3"),
    ],
)
def test_what_is_no_sequence_is_one_line(shapes, said):
    with pytest.raises(UserError, match=said):
        find_layout(shapes)


def test_one_of_several_arrays_has_to_be_named(table, tmp_path):
    folder = write_npz(tmp_path / "arrays")
    for path in folder.iterdir():
        np.savez(path, rgb=np.load(path)["feats"], flow=np.zeros((2, D)))
    with pytest.raises(UserError, match="it holds the arrays rgb, flow; name one by `key`"):
        import_features(folder, table, tmp_path / "store")
    import_features(folder, table, tmp_path / "store", spec=ImportSpec(key="rgb"))
    np.testing.assert_array_equal(FeatureStore(tmp_path / "store").read("b").features, drawn()["b"])


def test_a_link_in_a_file_is_not_followed(table, tmp_path):
    path = write_h5_all(tmp_path / "arrays")
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["x"] = np.ones((3, D))
    with h5py.File(path, "a") as file:
        del file["b"]
        file["b"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "x")
    done = import_features(path, table, tmp_path / "store")
    assert "is a link to something else" in done.failed["b"]


def test_a_table_is_needed_where_nothing_tells_classes(tmp_path):
    with pytest.raises(UserError, match="tells no classes; name a table"):
        import_features(write_npy(tmp_path / "arrays"), None, tmp_path / "store")


# -- TFRecord --------------------------------------------------------------------------------------


def write_records(path: Path, *, frames: bool = True) -> dict[str, np.ndarray]:
    """Records as YouTube-8M has them, by TensorFlow's own writer; what their bytes stand for, by TensorFlow's rule."""
    import tensorflow as tf

    draw, expected = np.random.default_rng(0), {}
    with tf.io.TFRecordWriter(str(path)) as writer:
        for number, (name, steps) in enumerate(LENGTHS.items()):
            labels = tf.train.Feature(int64_list=tf.train.Int64List(value=[300 + number, 5]))
            context = {"id": tf.train.Feature(bytes_list=tf.train.BytesList(value=[name.encode()])), "labels": labels}
            if not frames:
                mean = draw.standard_normal(D).astype(np.float32)
                context["mean_rgb"] = tf.train.Feature(float_list=tf.train.FloatList(value=mean))
                expected[name] = mean[None]
                writer.write(tf.train.Example(features=tf.train.Features(feature=context)).SerializeToString())
                continue
            values = {
                "rgb": draw.integers(0, 256, (steps, D), np.uint8),
                "audio": draw.integers(0, 256, (steps, 4), np.uint8),
            }
            lists = {
                key: tf.train.FeatureList(
                    feature=[tf.train.Feature(bytes_list=tf.train.BytesList(value=[row.tobytes()])) for row in rows]
                )
                for key, rows in values.items()
            }
            record = tf.train.SequenceExample(
                context=tf.train.Features(feature=context), feature_lists=tf.train.FeatureLists(feature_list=lists)
            )
            writer.write(record.SerializeToString())
            both = np.concatenate([values["rgb"], values["audio"]], 1)
            expected[name] = both * (4 / 255) + 4 / 512 - 2
    return expected


@pytest.mark.parametrize("key", ["rgb", "rgb,audio"])
def test_records_of_frames_are_read(key, tmp_path):
    expected = write_records(tmp_path / "train00.tfrecord")
    done = import_features(tmp_path / "train00.tfrecord", None, tmp_path / "store", spec=ImportSpec(key=key))
    assert (done.added, done.failed) == (3, {})
    store = FeatureStore(tmp_path / "store")
    for name, array in expected.items():
        np.testing.assert_allclose(store.read(name).features, array[:, : store.shape[0]], atol=1e-3)
    assert store.shape == ((D,) if key == "rgb" else (D + 4,))
    assert [video.label for video in store.catalog] == ["300", "301", "302"]


def test_records_of_videos_are_one_step(table, tmp_path):
    (tmp_path / "records").mkdir()
    expected = write_records(tmp_path / "records/train00.tfrecord", frames=False)
    import_features(tmp_path / "records", table, tmp_path / "store")
    store = FeatureStore(tmp_path / "store")
    np.testing.assert_allclose(store.read("b").features, expected["b"], atol=2e-3)
    assert [video.label for video in store.catalog] == ["A", "B", "C"]


def test_damaged_records_are_one_line(tmp_path):
    path = tmp_path / "train00.tfrecord"
    write_records(path)
    whole = path.read_bytes()
    for content in (whole[:-3], b"rubbish" * 9, whole[:20] + bytes(9) + whole[29:]):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"TFRecord|record"):
            import_features(path, None, tmp_path / "store")
    path.write_bytes(whole)
    with pytest.raises(UserError, match="it has no 'depth'; there is audio, labels, rgb"):
        import_features(path, None, tmp_path / "store", spec=ImportSpec(key="depth"))


# -- Parquet ---------------------------------------------------------------------------------------


def test_parquet_has_a_row_for_each_step(table, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    import_features(write_npy(tmp_path / "arrays"), table, tmp_path / "store", spec=ImportSpec(step=2.0))
    assert list(export_parquet(FeatureStore(tmp_path / "store"), tmp_path / "all.parquet")) == ["a", "b", "c"]
    rows = parquet.read_table(tmp_path / "all.parquet").to_pylist()
    assert [row["video"] for row in rows] == ["a"] * 3 + ["b"] * 7 + ["c"] * 5
    assert [(row["step"], row["time"], row["label"]) for row in rows[3:6]] == [
        (0, 0.0, "B"),
        (1, 2.0, "B"),
        (2, 4.0, "B"),
    ]
    np.testing.assert_array_equal(np.array(rows[4]["features"], np.float32), drawn()["b"][1].astype(np.float32))
