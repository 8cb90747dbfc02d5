"""Videos that cannot be reached, or that change under the reader's hands: a row each, and the others are done."""

from __future__ import annotations

import csv
import os
import threading
from pathlib import Path

import pytest

from pipeline.errors import UserError, VideoError
from pipeline.extraction.features.decode_task import CHANGED, DecodeSpec, Images, VideoOpened, decode
from pipeline.extraction.jobs.extract import Extraction
from pipeline.extraction.jobs.ray_cluster import _connect
from pipeline.extraction.jobs.spec import ExtractionSpec
from pipeline.extraction.network.weights import WeightsSource
from pipeline.extraction.store.store import FeatureStore
from pipeline.videos.catalog.catalog import open_catalog
from pipeline.videos.media.sampling import Sampling
from tests.extraction.conftest import RECIPE, column_means
from tests.media import write_video


def failures(store: Path) -> dict[str, str]:
    with (store / "failures.csv").open() as file:
        return {row["video"]: f"{row['stage']}: {row['reason']}" for row in csv.DictReader(file)}


def test_what_cannot_be_reached_is_a_row_each(videos, extract, tmp_path):
    names = [path.relative_to(videos).as_posix() for path in sorted(videos.rglob("*.*"))]
    (videos / "left/dangling.mp4").symlink_to(videos / "gone.mp4")
    (videos / "left/itself.mp4").symlink_to("itself.mp4")
    locked = videos / "left/locked.mp4"
    locked.write_bytes((videos / names[0]).read_bytes())
    locked.chmod(0)
    bad = [
        "left/dangling.mp4",
        "left/itself.mp4",
        "left/clip0.mp4/inside.mp4",
        f"left/{'n' * 300}.mp4",
        "left/gone.mp4",
    ]
    if os.geteuid():  # permissions do not hold for root
        bad.append("left/locked.mp4")
    rows = "".join(f"{name},left\n" for name in [*names, *bad])
    (videos / "list.csv").write_text(f"path,label\n{rows}")
    progress = extract(videos / "list.csv")
    assert (progress.done, progress.failed) == (6, len(bad))
    found = failures(tmp_path / "store")
    assert found.keys() == set(bad)
    for name, reason in (("dangling", "does not exist"), ("itself", "symbolic links"), ("gone", "does not exist")):
        assert reason in found[f"left/{name}.mp4"]
    assert "Not a directory" in found["left/clip0.mp4/inside.mp4"]
    assert extract(videos / "list.csv").failed == len(bad)


def test_videos_that_vanish_after_they_were_listed(videos, tmp_path):
    (videos / "right/twin.mp4").write_bytes((videos / "left/clip0.mp4").read_bytes())
    spec = ExtractionSpec(batch=8)
    extraction = Extraction(open_catalog(videos), tmp_path / "store", RECIPE, WeightsSource("random"), spec)
    (videos / "left/clip2.mp4").unlink()  # before it was looked at
    extraction.look()
    (videos / "right/clip2.mp4").unlink()  # before it was decoded
    (videos / "right/twin.mp4").unlink()  # before it was copied
    with extraction.decode() as pool:
        progress = extraction.run(pool, column_means, {})
    gone = {"left/clip2.mp4", "right/clip2.mp4", "right/twin.mp4"}
    assert (progress.done, progress.failed) == (4, 3)
    assert failures(tmp_path / "store") == dict.fromkeys(gone, "open: the file does not exist")
    assert FeatureStore(tmp_path / "store").entries.keys().isdisjoint(gone)


def test_a_video_that_changes_while_it_is_read_fails_and_is_tried_again(videos, extract, tmp_path):
    path = write_video(videos / "left/growing.mp4", frames=200, first=700)
    whole = path.read_bytes()
    stopped = threading.Event()

    def write() -> None:
        while not stopped.wait(0.002):
            path.write_bytes(whole)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        progress = extract(videos)
    finally:
        stopped.set()
        writer.join()
    assert (progress.done, progress.failed) == (6, 1)
    # Rewritten in place it may also be caught half written; either way it is one row.
    assert failures(tmp_path / "store").keys() == {"left/growing.mp4"}
    assert extract(videos, retry_failed=True).failed == 0


def test_a_changed_file_is_noticed_whatever_was_decoded(tmp_path):
    path = write_video(tmp_path / "v.mp4", frames=20)
    told: list[type] = []
    task = decode(lambda: None, path, Sampling.parse(RECIPE.sampling), DecodeSpec((RECIPE,), identify=True), 1)

    def tell() -> None:
        for message in task:
            told.append(type(message))
            os.utime(path, ns=(1, len(told)))

    with pytest.raises(VideoError, match=CHANGED):
        tell()
    assert told == [VideoOpened, Images]


def test_what_failed_because_it_changed_is_tried_again_unasked(videos, tmp_path):
    extraction = Extraction(
        open_catalog(videos), tmp_path / "store", RECIPE, WeightsSource("random"), ExtractionSpec(batch=8)
    )
    first, second = extraction.look().extract[:2]
    extraction.fail(first, VideoError("decode", CHANGED))
    extraction.fail(second, VideoError("decode", "no frame can be decoded"))
    again = extraction.look()
    assert first in again.extract
    assert again.failed_before == [second]


def test_a_ray_address_that_does_not_answer_is_one_line_with_or_without_ray():
    with pytest.raises(UserError, match=r"`ray_address=127\.0\.0\.1:1`: no Ray cluster answers there"):
        _connect("127.0.0.1:1")
