"""Stores that somebody made to do harm: each is one line, reads no other file, and fills no memory."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from pipeline.cli import command
from pipeline.commands import load
from pipeline.errors import UserError
from pipeline.extraction.store.store import FeatureStore
from pipeline.extraction.store.timesteps import StoredSteps
from pipeline.extraction.store.verify import check_shards
from pipeline.files.guard.hdf5 import check_weights
from tests.extraction.store.test_store import write

SECRET = b"the content of another file" * 100


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "store"
    write(folder, {"a.mp4": 4, "b.mp4": 2})
    (folder / "catalog.csv").write_text("path,label\na.mp4,x\nb.mp4,y\n")
    (tmp_path / "secret.bin").write_bytes(SECRET)
    return folder


def anew(shard: h5py.File, name: str, **options) -> None:
    """Another dataset in the place of one."""
    del shard[name]
    shard.create_dataset(name, **options)


def external_storage(shard: h5py.File) -> None:
    secret = str(Path(shard.filename).parents[1] / "secret.bin")
    anew(shard, "features", shape=(2, 4, 8), dtype="f2", external=[(secret, 0, h5py.h5f.UNLIMITED)])


def external_link(shard: h5py.File) -> None:
    other = Path(shard.filename).parents[1] / "other.h5"
    with h5py.File(other, "w") as file:
        file["features"] = np.ones((2, 4, 8), "f2")
    del shard["features"]
    shard["features"] = h5py.ExternalLink(str(other), "features")


def soft_link(shard: h5py.File) -> None:
    shard.move("features", "elsewhere")
    shard["features"] = h5py.SoftLink("/elsewhere")


def virtual(shard: h5py.File) -> None:
    layout = h5py.VirtualLayout((2, 4, 8), "f2")
    layout[:] = h5py.VirtualSource(str(Path(shard.filename).parents[1] / "other.h5"), "features", (2, 4, 8))
    del shard["features"]
    shard.create_virtual_dataset("features", layout)


def one_long_text(shard: h5py.File) -> None:
    """A thousand rows whose names are one and the same long text: on disk it is there once."""
    rows = 1000
    for name in ("features", "mask", "times", "frames"):
        shard[name].resize(rows, axis=0) if name == "features" else anew(
            shard, name, data=np.resize(shard[name][:], (rows, 4))
        )
    anew(shard, "steps", data=np.full(rows, 4))
    for name, column in list(shard["source"].items()):
        anew(shard["source"], name, data=np.resize(column[:], rows), dtype=column.dtype)
    anew(shard, "video", data=["x" * 100_000] + ["y"] * (rows - 1), dtype=h5py.string_dtype())


HARM: dict[str, Callable[[h5py.File], object]] = {
    "external storage": external_storage,
    "external link": external_link,
    "soft link": soft_link,
    "virtual": virtual,
    "huge": lambda shard: [
        anew(shard, name, shape=(2, 1 << 34, *more), dtype=kind, chunks=(1, 32, *more))
        for name, kind, more in (
            ("features", "f2", (8,)),
            ("mask", bool, ()),
            ("times", "f8", ()),
            ("frames", "i8", ()),
        )
    ],
    "huge dimension": lambda shard: anew(shard, "features", shape=(2, 4, 1 << 40), dtype="f2", chunks=(1, 1, 1 << 20)),
    "huge chunk": lambda shard: anew(shard, "times", shape=(2, 4), maxshape=(2, None), chunks=(1, 1 << 26), dtype="f8"),
    "huge steps": lambda shard: anew(shard, "steps", data=np.array([1 << 62, 1])),
    "negative steps": lambda shard: anew(shard, "steps", data=np.array([-5, 1])),
    "steps beyond what is stored": lambda shard: [
        anew(shard, "features", shape=(2, 4, 8), dtype="f2", chunks=(1, 4, 8)),
        anew(shard, "steps", data=np.array([4, 4])),
    ],
    "steps of text": lambda shard: anew(shard, "steps", data=["1", "2"], dtype=h5py.string_dtype()),
    "a group": lambda shard: [shard.__delitem__("features"), shard.create_group("features")],
    "a scalar": lambda shard: anew(shard, "features", data=np.float16(1)),
    "objects": lambda shard: anew(shard, "features", shape=(2, 4, 8), dtype=h5py.special_dtype(ref=h5py.Reference)),
    "texts": lambda shard: anew(shard, "features", shape=(2, 4, 8), dtype=h5py.string_dtype()),
    "compound": lambda shard: anew(shard, "features", shape=(2, 4, 8), dtype=[("x", "f4"), ("y", "f4")]),
    "opaque": lambda shard: anew(shard, "features", shape=(2, 4, 8), dtype=h5py.opaque_dtype(np.dtype("V4"))),
    "null": lambda shard: anew(shard, "features", data=h5py.Empty("f4")),
    "a type": lambda shard: [shard.__delitem__("features"), shard.__setitem__("features", np.dtype("f4"))],
    "flat": lambda shard: anew(shard, "features", data=np.ones((2, 4), "f2")),
    "doubles": lambda shard: anew(shard, "features", data=np.ones((2, 4, 8), "f8")),
    "fewer rows": lambda shard: shard["features"].resize(1, axis=0),
    "fewer names": lambda shard: anew(shard, "video", data=["a.mp4"], dtype=h5py.string_dtype()),
    "names of numbers": lambda shard: anew(shard, "video", data=[1, 2]),
    "names of fixed length": lambda shard: anew(shard, "video", data=np.array([b"a.mp4", b"b.mp4"])),
    "source in two dimensions": lambda shard: anew(shard, "source/size", data=np.ones((2, 2), int)),
    "no source": lambda shard: shard.__delitem__("source"),
    "source is a dataset": lambda shard: anew(shard, "source", data=np.ones(2)),
    "durations that are no numbers": lambda shard: anew(shard, "source/duration", data=np.array([np.nan, 1.0])),
    "negative durations": lambda shard: anew(shard, "source/duration", data=np.array([-1.0, 1.0])),
    "created by a list": lambda shard: shard.attrs.__setitem__("created", [1, 2, 3]),
    "created by a text": lambda shard: shard.attrs.__setitem__("created", "now"),
    "no created": lambda shard: shard.attrs.__delitem__("created"),
    "a fingerprint of numbers": lambda shard: shard.attrs.__setitem__("fingerprint", np.arange(4)),
    "an empty fingerprint": lambda shard: shard.attrs.__setitem__("fingerprint", h5py.Empty("f4")),
    "no recipe": lambda shard: shard.attrs.__delitem__("recipe"),
    "times that are no numbers": lambda shard: shard["times"].write_direct(np.full((2, 4), np.nan)),
}


def use(store: Path) -> None:
    """All that reads features."""
    opened = FeatureStore(store)
    list(opened.sequences(opened.entries))
    StoredSteps(opened, opened.entries).load()


@pytest.mark.parametrize("harm", HARM)
def test_a_shard_that_does_harm_is_one_line(store, harm, capsys):
    path = next(store.glob("shard-*.h5"))
    with h5py.File(path, "r+") as shard:
        HARM[harm](shard)
    with pytest.raises(UserError) as told:
        use(store)
    assert "\n" not in str(told.value)
    assert str(store) in str(told.value)
    (report,) = check_shards(store)
    assert report.problems
    for verb, more in (("check-features", ()), ("export-features", ("--out", str(store.parent / "out")))):
        opened = load(verb)
        assert command.run(opened.main, [str(store), *more], parser=opened.parser) in (0, 1, 2)
        assert "Traceback" not in capsys.readouterr().err
    for file in (store.parent / "out").rglob("*.npy") if (store.parent / "out").exists() else ():
        assert SECRET[:20] not in file.read_bytes()


def test_many_names_that_are_one_long_text_fill_no_memory(store):
    path = next(store.glob("shard-*.h5"))
    with h5py.File(path, "r+") as shard:
        one_long_text(shard)
        where = shard["video"].id.get_offset()
    content = bytearray(path.read_bytes())
    first = bytes(content[where : where + 16])
    content[where : where + 16 * 1000] = first * 1000
    path.write_bytes(content)
    with pytest.raises(UserError, match="declares more than the file holds"):
        use(store)


def test_a_good_shard_is_read_as_it_was(store):
    use(store)
    assert [report.problems for report in check_shards(store)] == [[]]


RECIPES = {
    "nested deep": "[" * 100_000 + "]" * 100_000,
    "nested deep in a recipe": '{"format": 1, "weights": {}, "recipe": ' + '{"a":' * 500 + "1" + "}" * 501,
    "a sampling of a number": {"recipe": {"sampling": 5}},
    "a sampling of nothing": {"recipe": {"sampling": None}},
    "a sampling beyond all": {"recipe": {"sampling": "every:1" + "0" * 40}},
    "a huge size": {"recipe": {"height": 1 << 40}},
    "a recipe that is a list": {"recipe": [1]},
    "weights that are a list": {"weights": [1]},
    "weights without a source": {"weights": {"imagenet": {"digest": 5}}},
    "no format": {"format": None},
    "a format of a list": {"format": [1]},
    "an unknown key": {"recipe": {"surprise": 1}},
}


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_that_is_wrong_is_one_line(store, name):
    path, harm = store / "recipe.json", RECIPES[name]
    content = json.loads(path.read_text())
    if isinstance(harm, dict):
        for key, value in harm.items():
            content[key] = content[key] | value if isinstance(value, dict) and key == "recipe" else value
    path.write_text(harm if isinstance(harm, str) else json.dumps(content))
    with pytest.raises(UserError) as told:
        use(store)
    assert "\n" not in str(told.value)
    assert len(str(told.value)) < 600


@pytest.mark.parametrize("name", ["recipe.json", "catalog.csv", "failures.csv", "shard"])
@pytest.mark.parametrize("kind", ["pipe", "zero"])
def test_what_is_no_regular_file_is_not_opened(store, name, kind, capsys):
    path = next(store.glob("shard-*.h5")) if name == "shard" else store / name
    path.unlink(missing_ok=True)
    os.mkfifo(path) if kind == "pipe" else path.symlink_to("/dev/zero")
    data = store.parent / "data"
    data.mkdir()
    (data / "a.mp4").write_bytes(b"x")
    calls = [("check-features", store), ("export-features", store, "--out", store.parent / "out"), ("train", store)]
    calls += [("extract", data, "--out", store, "--backbone", "tiny", "--weights", "random", "--size", "24x48")]
    said = ""
    for verb, *words in calls:
        opened = load(verb)
        words += ["--out", store.parent / "run"] if verb == "train" else []
        command.run(opened.main, list(map(str, words)), parser=opened.parser)
        error = capsys.readouterr().err
        assert "Traceback" not in error
        said += error
    if name != "failures.csv":  # which only an extraction of this recipe reads
        assert "not a regular file" in said


def test_a_catalog_of_too_many_rows_is_one_line(store, monkeypatch):
    from pipeline.videos.catalog import catalog

    monkeypatch.setattr(catalog, "MOST_VIDEOS", 1000)
    (store / "catalog.csv").write_text("path,label\n" + "".join(f"{n}.mp4,x\n" for n in range(1001)))
    with pytest.raises(UserError, match="more than 1,000 rows"):
        _ = FeatureStore(store).catalog


@pytest.mark.parametrize(
    "text", ["123\n456\n", "1,2\n3,4\n", "\n", ",\n", "path\n\0\n", '"path\n', "path," * 20_000 + "\n"]
)
def test_a_catalog_that_is_none_is_one_line(store, text):
    (store / "catalog.csv").write_text(text)
    with pytest.raises(UserError):
        _ = FeatureStore(store).catalog


def test_weights_that_lead_elsewhere_are_refused(tmp_path):
    path = tmp_path / "weights.h5"
    with h5py.File(path, "w") as file:
        file.create_group("layer")["kernel"] = np.ones(4)
    check_weights(path, "weights")
    for number, harm in enumerate(("external", "soft", "link")):
        other = tmp_path / f"{number}.h5"
        shutil.copy(path, other)
        with h5py.File(other, "r+") as file:
            if harm == "external":
                file.create_dataset("x", (4,), "f4", external=[("/etc/passwd", 0, 16)])
            else:
                file["x"] = h5py.SoftLink("/layer") if harm == "soft" else h5py.ExternalLink(str(path), "/layer")
        with pytest.raises(UserError, match="cannot be read"):
            check_weights(other, "weights")
