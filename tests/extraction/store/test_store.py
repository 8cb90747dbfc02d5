from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from pipeline.errors import UserError, VideoError
from pipeline.extraction.store import shard_file, shard_writer
from pipeline.extraction.store import store as store_module
from pipeline.extraction.store.import_export import export_arrays, export_hdf5, import_features
from pipeline.extraction.store.shard_writer import SequenceBuffer, StoreWriter
from pipeline.extraction.store.store import FeatureStore
from pipeline.extraction.store.verify import check_shards, missing_videos, set_aside
from pipeline.videos.catalog.catalog import Catalog, Video
from pipeline.videos.catalog.source_file import SourceFile
from tests.extraction.conftest import RECIPE

SOURCE = SourceFile(100, 1, "f" * 64, frames=9, header_frames=10, fps=25.0, width=64, height=48, duration=0.36)


def fill(buffer: SequenceBuffer, steps: int, seed: int = 0, dimensions: int = 8) -> np.ndarray:
    features = np.random.default_rng(seed).standard_normal((steps, dimensions), np.float32)
    for start in range(0, steps, 3):
        part = range(start, min(steps, start + 3))
        buffer.append(features[part.start : part.stop], [0.04 * step for step in part], list(part))
    return features


def write(folder: Path, lengths: dict[str, int], **options) -> dict[str, np.ndarray]:
    written = {}
    with StoreWriter(folder, RECIPE, **options) as writer:
        for seed, (video, steps) in enumerate(lengths.items()):
            buffer = writer.buffer()
            written[video] = fill(buffer, steps, seed)
            writer.add(video, buffer, SOURCE)
    return written


def test_what_goes_in_comes_out(tmp_path):
    written = write(tmp_path, {"a/1.mp4": 5, "b/2.mp4": 1, "c/ü 3.mp4": 70}, dtype="float32")
    store = FeatureStore(tmp_path)
    assert store.dimensions == 8
    for video, features in written.items():
        sequence = store.read(video)
        np.testing.assert_array_equal(sequence.features, features)
        assert sequence.frames.tolist() == list(range(len(features)))
        np.testing.assert_allclose(sequence.times, 0.04 * np.arange(len(features)))
        assert store.entries[video].source == SOURCE


def test_a_long_video_does_not_pad_all_short_ones_of_its_shard(tmp_path, monkeypatch):
    monkeypatch.setattr(shard_writer, "SHARD_CELLS", 360)
    lengths = {f"{number}.mp4": 5 for number in range(10)} | {"long.mp4": 90} | {f"z{n}.mp4": 5 for n in range(5)}
    written = write(tmp_path, lengths, dtype="float32")
    padded = {}
    for path in tmp_path.glob("shard-*.h5"):
        with h5py.File(path) as shard:
            padded[path.name] = shard["mask"].size
    # The first ten by themselves, the long one with three more, which fill 360 cells, and the last two.
    assert sorted(padded.values()) == [10, 50, 360]
    store = FeatureStore(tmp_path)
    for video, features in written.items():
        np.testing.assert_array_equal(store.read(video).features, features)


def test_names_that_are_no_utf8_survive(tmp_path):
    write(tmp_path, {"caf\udce9.mp4": 2})
    assert list(FeatureStore(tmp_path).entries) == ["caf\udce9.mp4"]


def test_plain_h5py_reads_a_shard(tmp_path):
    written = write(tmp_path, {"a.mp4": 2, "b.mp4": 4}, provenance={"precision": "float32"})
    with h5py.File(next(tmp_path.glob("shard-*.h5"))) as shard:
        row = list(shard["video"].asstr()).index("a.mp4")
        np.testing.assert_array_equal(shard["mask"][row], [True, True, False, False])
        np.testing.assert_array_equal(shard["features"][row][shard["mask"][row]], written["a.mp4"].astype(np.float16))
        assert not shard["features"][row, 2:].any()
        assert json.loads(shard.attrs["versions"])["h5py"] == h5py.__version__
        assert shard.attrs["precision"] == "float32"
        assert shard["source/sha256"].asstr()[row] == "f" * 64


def test_the_newest_sequence_of_a_video_counts(tmp_path):
    write(tmp_path, {"a.mp4": 2})
    second = write(tmp_path, {"a.mp4": 6}, dtype="float32")
    np.testing.assert_array_equal(FeatureStore(tmp_path).read("a.mp4").features, second["a.mp4"])


def test_a_sequence_that_is_older_does_not_count_whatever_its_shard_is_called(tmp_path):
    second = write(tmp_path, {"a.mp4": 6}, dtype="float32")
    (newer,) = tmp_path.glob("shard-*.h5")
    newer = newer.rename(tmp_path / "shard-0.h5")
    write(tmp_path, {"a.mp4": 2})
    (older,) = set(tmp_path.glob("shard-*.h5")) - {newer}
    with h5py.File(older, "r+") as shard, h5py.File(newer) as other:
        shard.attrs["created"] = other.attrs["created"] - 1
    np.testing.assert_array_equal(FeatureStore(tmp_path).read("a.mp4").features, second["a.mp4"])


def test_a_long_sequence_is_spilled_and_comes_back(tmp_path, monkeypatch):
    monkeypatch.setattr(shard_writer, "SPILL_BYTES", 200)
    written = write(tmp_path, {"a.mp4": 500, "b.mp4": 3}, dtype="float32")
    np.testing.assert_array_equal(FeatureStore(tmp_path).read("a.mp4").features, written["a.mp4"])


def test_no_more_of_a_sequence_is_held_than_allowed(tmp_path, monkeypatch):
    monkeypatch.setattr(shard_writer, "SPILL_BYTES", 20_000)
    buffer = SequenceBuffer(np.dtype("float32"), tmp_path)
    tracemalloc.start()
    for _ in range(100):
        buffer.append(np.ones((1, 2_500), np.float32), [0.0], [0])
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held < 60_000  # of a million bytes
    assert sum(block.sum() for block in buffer.blocks()) == 250_000
    buffer.close()


def test_a_long_sequence_comes_in_pieces(tmp_path, monkeypatch):
    written = write(tmp_path, {"a.mp4": 50}, dtype="float32")
    monkeypatch.setattr(store_module, "_PIECE_BYTES", 20 * 8 * 4)
    pieces = list(FeatureStore(tmp_path).pieces("a.mp4"))
    assert [len(piece.features) for piece in pieces] == [20, 20, 10]
    np.testing.assert_array_equal(np.concatenate([piece.features for piece in pieces]), written["a.mp4"])
    assert pieces[2].frames.tolist() == list(range(40, 50))


def test_what_fails_in_the_middle_of_a_row_leaves_the_rows_before(tmp_path, monkeypatch):
    with StoreWriter(tmp_path, RECIPE, dtype="float32") as writer:
        first = writer.buffer()
        features = fill(first, 4)
        writer.add("a.mp4", first, SOURCE)
        second = writer.buffer()
        fill(second, 90, 1)
        with monkeypatch.context() as patched:
            patched.setattr(shard_writer._Shard, "_need", _full_after(5))
            with pytest.raises(OSError, match="the disk is full"):
                writer.add("b.mp4", second, SOURCE)
    store = FeatureStore(tmp_path)
    assert list(store.entries) == ["a.mp4"]
    np.testing.assert_array_equal(store.read("a.mp4").features, features)
    assert [report.problems for report in check_shards(tmp_path)] == [[]]


def _full_after(calls: int):
    left = iter(range(calls))

    def need(self, size: int) -> None:
        if next(left, None) is None:
            raise OSError(28, "the disk is full")

    return need


def test_copies_are_found_up_to_the_last_one(tmp_path):
    write(tmp_path, {"a.mp4": 2, "a.mp4#1": 2, "a.mp4#3": 2, "a.mp4#101": 2})
    store = FeatureStore(tmp_path)
    assert store.copies_of("a.mp4") == ["a.mp4#1", "a.mp4#3"]
    assert store.copies_of("a.mp4", most=1) == ["a.mp4#1"]
    write(tmp_path, {"a.mp4#100": 2})
    assert FeatureStore(tmp_path).copies_of("a.mp4") == ["a.mp4#1", "a.mp4#3", "a.mp4#100"]


def test_a_store_says_what_it_is(tmp_path):
    write(tmp_path, {"a.mp4": 2, "b.mp4": 2})
    assert repr(FeatureStore(tmp_path)) == f"FeatureStore({str(tmp_path)!r}, 2 videos, {RECIPE.sampling})"


def test_videos_that_no_shard_holds_are_named(tmp_path):
    catalog = Catalog(tmp_path, (Video("a", Path("a")), Video("b", Path("b")), Video("c", Path("c"))))
    assert missing_videos(catalog, {"b"}) == ["a", "c"]


def test_shards_are_committed_by_time(tmp_path):
    with StoreWriter(tmp_path, RECIPE, commit_every=0) as writer:
        for name in ("a.mp4", "b.mp4"):
            buffer = writer.buffer()
            fill(buffer, 2)
            writer.add(name, buffer, SOURCE)
            assert name in FeatureStore(tmp_path).entries


@pytest.mark.parametrize(
    ("value", "word"),
    [(np.nan, "not finite"), (np.inf, "not finite"), (1e6, "store them as float32"), (1e-12, "store them as float32")],
)
def test_values_that_cannot_be_kept_are_refused(tmp_path, value, word):
    with pytest.raises(VideoError, match=word):
        SequenceBuffer("float16", tmp_path).append(np.full((1, 2), value, np.float32), [0.0], [0])


def test_another_recipe_is_refused_with_what_differs(tmp_path):
    write(tmp_path, {"a.mp4": 2})
    with pytest.raises(UserError, match="size 99x48, not 24x48"):
        StoreWriter(tmp_path, replace(RECIPE, height=99))


def test_a_store_of_a_newer_format_is_refused(tmp_path):
    write(tmp_path, {"a.mp4": 2})
    content = json.loads((tmp_path / "recipe.json").read_text())
    (tmp_path / "recipe.json").write_text(json.dumps(content | {"format": 99}))
    with pytest.raises(UserError, match="store format 99"):
        FeatureStore(tmp_path)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"format": 1}'])
def test_a_damaged_recipe_file_is_one_line(tmp_path, content):
    (tmp_path / "recipe.json").write_text(content)
    with pytest.raises(UserError, match="cannot be read"):
        FeatureStore(tmp_path)


def test_no_store_is_one_line(tmp_path):
    with pytest.raises(UserError, match="is not a feature store"):
        FeatureStore(tmp_path / "nowhere")


def test_damage_is_found_and_set_aside(tmp_path):
    write(tmp_path, {"a.mp4": 2})
    write(tmp_path, {"b.mp4": 300})
    damaged = sorted(tmp_path.glob("shard-*.h5"))[1]
    damaged.write_bytes(damaged.read_bytes()[:3000])
    with pytest.raises(UserError, match="is damaged"):
        _ = FeatureStore(tmp_path).entries
    reports = list(check_shards(tmp_path))
    assert [bool(report.problems) for report in reports] == [False, True]
    set_aside(reports[1])
    assert list(FeatureStore(tmp_path).entries) == ["a.mp4"]


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (lambda shard: shard["features"].write_direct(np.full((2, 4, 8), np.nan, np.float16)), "not finite"),
        (lambda shard: shard["mask"].write_direct(np.zeros((2, 4), bool)), "mask does not match"),
        (lambda shard: shard["times"].write_direct(-np.arange(8.0).reshape(2, 4)), "times do not rise"),
        (lambda shard: shard.attrs.modify("recipe", replace(RECIPE, height=9).canonical), "another recipe"),
        (lambda shard: shard.attrs.modify("fingerprint", "0" * 64), "another recipe"),
    ],
)
def test_every_kind_of_wrong_entry_is_found(tmp_path, spoil, word):
    write(tmp_path, {"a.mp4": 4, "b.mp4": 2})
    path = next(tmp_path.glob("shard-*.h5"))
    with h5py.File(path, "r+") as shard:
        spoil(shard)
    assert word in " ".join(next(check_shards(tmp_path)).problems)


def test_abandoned_files_of_dead_writers_are_removed(tmp_path):
    code = (
        "import os, sys; from pipeline.files.atomic import atomic_write\n"
        "with atomic_write(sys.argv[1] + '/x.csv'): os._exit(1)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert len(list(tmp_path.glob(".unfinished-*"))) == 1
    write(tmp_path, {"a.mp4": 2})
    assert not list(tmp_path.glob(".unfinished-*"))


# -- exchange --------------------------------------------------------------------------------------


def test_export_and_import_are_inverse(tmp_path):
    written = write(tmp_path / "store", {"x/a.mp4": 2, "y/b.mp4": 5})
    (tmp_path / "store/catalog.csv").write_text("path,label\nx/a.mp4,x\ny/b.mp4,y\n")
    store = FeatureStore(tmp_path / "store")
    assert len(list(export_arrays(store, tmp_path / "arrays"))) == 2
    (tmp_path / "list.csv").write_text("\ufefffile;label;split\r\nx/a.mp4.npy;x;train\r\ny/b.mp4;y;test\r\n")
    result = import_features(tmp_path / "arrays", tmp_path / "list.csv", tmp_path / "imported")
    assert (result.added, result.failed) == (2, {})
    imported = FeatureStore(tmp_path / "imported")
    np.testing.assert_array_equal(imported.read("y/b.mp4").features, written["y/b.mp4"].astype(np.float16))
    assert [(video.label, video.split) for video in imported.catalog] == [("x", "train"), ("y", "test")]
    assert import_features(tmp_path / "arrays", tmp_path / "list.csv", tmp_path / "imported").present == 2


def test_export_to_one_file(tmp_path):
    written = write(tmp_path / "store", {"x/a.mp4": 2, "y/b.mp4": 5})
    (tmp_path / "store/catalog.csv").write_text("path,label\ny/b.mp4,y\nx/a.mp4,x\n")
    assert len(list(export_hdf5(FeatureStore(tmp_path / "store"), tmp_path / "all.h5"))) == 2
    with h5py.File(tmp_path / "all.h5") as file:
        assert list(file["names"].asstr()) == ["x/a.mp4", "y/b.mp4"]
        assert list(file["labels"].asstr()) == ["x", "y"]
        assert file["features"].shape == (2, 5, 8)
        np.testing.assert_array_equal(file["features"][0][file["mask"][0]], written["x/a.mp4"].astype(np.float16))


def test_foreign_files_that_are_wrong_are_named(tmp_path):
    folder = tmp_path / "arrays"
    folder.mkdir()
    np.save(folder / "good.npy", np.ones((3, 4)))
    np.save(folder / "flat.npy", np.ones(3))
    np.save(folder / "wide.npy", np.ones((3, 5)))
    np.save(folder / "text.npy", np.array([["a"]]))
    np.save(folder / "nan.npy", np.full((2, 4), np.nan))
    np.save(folder / "objects.npy", np.array([[object()]]), allow_pickle=True)
    (folder / "cut.npy").write_bytes((folder / "good.npy").read_bytes()[:60])
    names = ["good", "flat", "wide", "text", "nan", "objects", "cut", "absent"]
    (tmp_path / "list.csv").write_text("file,label\n" + "".join(f"{name},x\n" for name in names))
    result = import_features(folder, tmp_path / "list.csv", tmp_path / "store")
    assert result.added == 1
    assert set(result.failed) == set(names) - {"good"}
    assert "expected 4 features a step, found 5" in result.failed["wide"]


def test_an_import_never_mixes_with_extracted_features(tmp_path):
    write(tmp_path / "store", {"a.mp4": 2})
    (tmp_path / "arrays").mkdir()
    np.save(tmp_path / "arrays" / "a.npy", np.ones((3, 8)))
    (tmp_path / "list.csv").write_text("file,label\na.npy,x\n")
    with pytest.raises(UserError, match="another recipe"):
        import_features(tmp_path / "arrays", tmp_path / "list.csv", tmp_path / "store")


def test_a_shard_is_looked_at_once_on_a_machine(tmp_path, monkeypatch):
    own, copy = tmp_path / "own", tmp_path / "copy"
    looks: list[Path] = []
    check = shard_file._check
    monkeypatch.setattr(shard_file, "_check", lambda shard, path, size: (looks.append(path), check(shard, path, size)))

    def looked_at(folder: Path) -> list[str]:
        shard_file._looked_at.cache_clear()  # as in a process of its own
        looks.clear()
        assert FeatureStore(folder).read("a.mp4").features.shape == (2, 8)
        return [path.name for path in looks]

    write(own, {"a.mp4": 2})
    assert looked_at(own) == []  # who wrote it knows what is in it
    shutil.copytree(own, copy)
    (first,) = copy.glob("shard-*.h5")
    assert looked_at(copy) == [first.name]
    assert looked_at(copy) == []
    write(own, {"b.mp4": 3})
    (second,) = (path for path in own.glob("shard-*.h5") if path.name != first.name)
    shutil.copy(second, copy)
    assert looked_at(copy) == [second.name]
    assert looked_at(own) == []
    for folder in (own, copy):
        with h5py.File(folder / first.name, "r+") as shard:
            del shard["steps"]
        with pytest.raises(UserError, match="steps is missing"):
            looked_at(folder)
