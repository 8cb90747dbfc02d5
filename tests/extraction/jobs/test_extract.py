from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.extraction.inputs.preprocess import Preprocessor
from pipeline.extraction.jobs.spec import ExtractionSpec
from pipeline.extraction.recipe import Recipe
from pipeline.extraction.store.store import FeatureStore
from pipeline.extraction.store.verify import check_shards
from pipeline.videos.media import open_video
from pipeline.videos.media.sampling import Sampling
from tests.extraction.conftest import RECIPE, column_means
from tests.media import write_video


def contents(store: Path) -> dict[str, tuple]:
    """What a store holds, by value."""
    opened = FeatureStore(store)
    return {
        sequence.video: (
            sequence.features.tobytes(),
            sequence.times.tolist(),
            sequence.frames.tolist(),
            *((sequence.ends.times.tolist(), sequence.ends.frames.tolist()) if sequence.ends else ()),
        )
        for sequence in opened.sequences(opened.entries)
    }


def test_features_times_and_numbers_are_those_of_the_frames(videos, extract, tmp_path):
    progress = extract(videos, dtype="float32")
    assert (progress.done, progress.failed) == (6, 0)
    store = FeatureStore(tmp_path / "store")
    prepare = Preprocessor(RECIPE)
    for video in store.catalog:
        with open_video(video.path) as reader:
            picked = Sampling.parse("uniform:6").indices(reader.times())
            frames = list(reader.frames(picked))
        sequence = store.read(video.name)
        assert sequence.frames.tolist() == [frame.index for frame in frames]
        np.testing.assert_allclose(sequence.times, [frame.time for frame in frames])
        expected = column_means(np.stack([prepare(frame.image) for frame in frames]))
        np.testing.assert_array_equal(sequence.features, expected)


def test_short_videos_are_kept_and_masked(videos, extract, tmp_path):
    extract(videos)
    with h5py.File(next((tmp_path / "store").glob("shard-*.h5"))) as shard:
        steps = dict(zip(shard["video"].asstr()[:], shard["mask"][:].sum(axis=1), strict=True))
        assert shard["features"].shape[:2] == shard["mask"].shape == (6, 6)
        assert shard["features"].dtype == np.float16
    assert steps["left/clip0.mp4"] == 4
    assert steps["left/clip2.mp4"] == 6


def test_catalog_in_the_store_has_counted_facts(videos, extract, tmp_path):
    extract(videos)
    rows = {video.name: video for video in FeatureStore(tmp_path / "store").catalog}
    assert rows["right/clip1.avi"].frames == 13
    assert (rows["right/clip1.avi"].width, rows["right/clip1.avi"].label) == (192, "right")


def test_second_run_does_nothing(videos, extract, tmp_path):
    extract(videos)
    before = sorted(path.name for path in (tmp_path / "store").iterdir())
    progress = extract(videos)
    assert (progress.done, progress.copied, progress.frames) == (0, 0, 0)
    assert sorted(path.name for path in (tmp_path / "store").iterdir()) == before


def test_batch_size_workers_and_order_do_not_matter(videos, extract, tmp_path):
    extract(videos, tmp_path / "one", batch=1, workers=1)
    extract(videos, tmp_path / "many", batch=64, workers=4)
    assert contents(tmp_path / "one") == contents(tmp_path / "many")


def test_new_changed_and_renamed_videos_are_noticed(videos, extract, tmp_path):
    extract(videos)
    old = contents(tmp_path / "store")
    write_video(videos / "left/clip9.mp4", frames=7, first=500)
    write_video(videos / "right/clip0.mp4", frames=9, first=600)  # replaced under the same name
    (videos / "left/clip1.avi").rename(videos / "right/moved.avi")
    progress = extract(videos)
    assert (progress.done, progress.copied) == (2, 1)
    new = contents(tmp_path / "store")
    assert new["right/moved.avi"] == old["left/clip1.avi"]
    assert new["right/clip0.mp4"] != old["right/clip0.mp4"]
    catalog = {video.name: video.label for video in FeatureStore(tmp_path / "store").catalog}
    assert catalog["right/moved.avi"] == "right"
    assert "left/clip1.avi" not in catalog


def test_a_touched_file_is_not_decoded_again(videos, extract):
    extract(videos)
    os.utime(videos / "left/clip0.mp4", (1, 1))
    progress = extract(videos)
    assert (progress.done, progress.copied) == (0, 1)
    assert extract(videos).copied == 0


def test_the_same_content_under_two_names_is_extracted_once(videos, extract, tmp_path):
    shutil.copy(videos / "left/clip0.mp4", videos / "right/twin.mp4")
    progress = extract(videos)
    assert (progress.done, progress.copied) == (6, 1)
    held = contents(tmp_path / "store")
    assert held["right/twin.mp4"] == held["left/clip0.mp4"]


def test_another_recipe_is_refused_and_named(videos, extract, tmp_path):
    extract(videos)
    held = contents(tmp_path / "store")
    other = Recipe("uniform:5", "tiny", "0" * 64, 24, 48, crop="center")
    with pytest.raises(UserError, match=r"sampling uniform:5, not uniform:6; crop center, not none"):
        extract(videos, recipe=other)
    assert contents(tmp_path / "store") == held


def test_bad_videos_are_listed_and_retried_on_request(videos, extract, tmp_path):
    (videos / "left/empty.mp4").touch()
    (videos / "left/text.mp4").write_text("no video at all\n" * 100)
    progress = extract(videos)
    assert (progress.done, progress.failed) == (6, 2)
    rows = (tmp_path / "store/failures.csv").read_text()
    assert "left/empty.mp4,open,the file is empty (0 bytes)," in rows
    assert "left/text.mp4,open,not a readable media file" in rows
    assert (extract(videos).failed, extract(videos, retry_failed=True).failed) == (2, 2)
    write_video(videos / "left/empty.mp4", frames=5)  # mended: tried again by itself
    (videos / "left/text.mp4").unlink()
    assert extract(videos).done == 1
    rows = (tmp_path / "store/failures.csv").read_text()
    assert "left/text.mp4" in rows  # it was not looked at, and may be elsewhere
    assert "left/empty.mp4" not in rows
    extract(videos, retry_failed=True)
    assert not (tmp_path / "store/failures.csv").exists()


def test_failures_of_other_folders_stay(videos, extract, tmp_path):
    (videos / "left/empty.mp4").touch()
    (tmp_path / "more/left").mkdir(parents=True)
    (tmp_path / "more/left/other.mp4").touch()
    extract(videos)
    assert extract(tmp_path / "more").failed == 1
    rows = (tmp_path / "store/failures.csv").read_text()
    assert "left/empty.mp4" in rows
    assert "left/other.mp4" in rows


def test_features_that_are_not_finite_cost_that_video_only(videos, extract, tmp_path):
    def network(images):
        features = column_means(images)
        features[features[:, -1] > 127] = np.nan  # odd frame numbers
        return features

    extract(videos, network=network)
    assert "network,features are not finite" in (tmp_path / "store/failures.csv").read_text()


def test_a_truncated_file_gives_the_frames_it_has(videos, extract, tmp_path):
    path = write_video(videos / "left/long.mkv", "h264_mkv", frames=90, first=200)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    extract(videos)
    entry = FeatureStore(tmp_path / "store").entries["left/long.mkv"]
    assert 10 < entry.source.frames < 80
    assert entry.steps == 6


def test_parts_of_several_machines_make_one_store(videos, extract, tmp_path):
    for number in (1, 2, 3):
        extract(videos, tmp_path / "parts", worker=(number, 3))
    extract(videos, tmp_path / "whole")
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")


def test_files_that_hang_or_crash_the_decoder_cost_themselves_only(videos, extract, tmp_path, sabotage):
    for name in ("hangs", "crashes"):
        write_video(videos / f"left/{name}.mp4", frames=5, first=ord(name[0]))
    os.mkfifo(videos / "left/pipe.mp4")
    (videos / "left/zero.mp4").symlink_to("/dev/zero")
    progress = extract(videos, timeout=2.5, workers=2)
    assert (progress.done, progress.failed) == (6, 4)
    failures = (tmp_path / "store/failures.csv").read_text()
    assert "hangs.mp4,decode,the decoder hung: no sign of life for 2.5 s" in failures
    assert "crashes.mp4,decode,the decoder crashed (SIGSEGV)" in failures
    assert 'pipe.mp4,open,"this is a pipe, not a regular file"' in failures
    assert 'zero.mp4,open,"this is a device, not a regular file"' in failures


def test_a_full_disk_stops_cleanly(videos, extract, tmp_path, monkeypatch):
    real = os.statvfs
    calls = iter(range(1000))

    class Full:
        f_bavail, f_frsize = 0, 4096

    monkeypatch.setattr(os, "statvfs", lambda path: real(path) if next(calls) < 2 else Full)
    with pytest.raises(OSError, match="the disk is full"):
        extract(videos, workers=1)
    assert 1 <= len(contents(tmp_path / "store")) <= 2
    assert [report.problems for report in check_shards(tmp_path / "store")] == [[]]
    assert not list((tmp_path / "store").glob(".unfinished*"))
    monkeypatch.undo()
    extract(videos)
    extract(videos, tmp_path / "whole")
    assert contents(tmp_path / "store") == contents(tmp_path / "whole")


@pytest.mark.parametrize(
    "bad",
    [{"batch": -1}, {"workers": -1}, {"timeout": 0.0}, {"worker": (3, 2)}, {"worker": (0, 2)}, {"commit_every": -1.0}],
)
def test_bad_choices_are_refused(bad):
    with pytest.raises(UserError, match="expected"):
        ExtractionSpec(**bad)


@pytest.mark.parametrize("sparse", ["uniform:6", "first:3", "every:4", "fps:10", "all"])
def test_a_thinned_dense_store_is_the_sparse_store(videos, extract, tmp_path, sparse):
    """What was extracted by 'all' gives any sparser sampling without the videos."""
    extract(videos, tmp_path / "dense", replace(RECIPE, sampling="all"))
    extract(videos, tmp_path / "sparse", replace(RECIPE, sampling=sparse))
    thinned = FeatureStore(tmp_path / "dense", sampling=Sampling.parse(sparse))
    direct = FeatureStore(tmp_path / "sparse")
    assert thinned.recipe == direct.recipe
    for video in direct.entries:
        assert thinned.entries[video].steps == direct.entries[video].steps
        one, other = thinned.read(video), direct.read(video)
        np.testing.assert_array_equal(one.features, other.features)
        np.testing.assert_array_equal(one.times, other.times)
        np.testing.assert_array_equal(one.frames, other.frames)


def test_a_sparse_store_cannot_become_another(videos, extract, tmp_path):
    extract(videos)
    with pytest.raises(UserError, match="sampled by uniform:6, which need not hold the frames of fps:2"):
        FeatureStore(tmp_path / "store", sampling=Sampling.parse("fps:2"))
