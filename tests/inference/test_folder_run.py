"""Many videos: resumable, failures apart, features of a store used where they fit."""

from __future__ import annotations

import csv
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.extraction.store.store import FeatureStore
from pipeline.inference.classifier import Classifier
from pipeline.inference.classify_spec import ClassifySpec
from pipeline.inference.folder_run import FolderRun
from pipeline.inference.outputs.outputs import Outputs
from pipeline.inference.outputs.prediction_table import PredictionTable
from pipeline.inference.timeline.smoothing import Smoothing
from pipeline.videos.catalog.catalog import open_catalog
from tests.inference.conftest import write_pieces


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "predictions.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.fixture
def videos(clips, tmp_path) -> Path:
    for label in ("Blue", "Red"):
        for number in range(2):
            (tmp_path / "in" / label).mkdir(parents=True, exist_ok=True)
            shutil.copy2(clips / label / f"clip{number}.mp4", tmp_path / "in" / label)
    return tmp_path / "in"


def run(classifier, videos, out, spec=None, **options):
    return FolderRun(classifier, open_catalog(videos), out, spec or ClassifySpec(), **options).run()


def test_one_row_a_video(classifier, videos, tmp_path):
    progress = run(classifier, videos, tmp_path / "out")
    assert (progress.done, progress.before, progress.failed) == (4, 0, 0)
    table = rows(tmp_path / "out")
    assert [row["video"] for row in table] == ["Blue/clip0.mp4", "Blue/clip1.mp4", "Red/clip0.mp4", "Red/clip1.mp4"]
    for row in table:
        assert row["prediction"] == row["label"] == row["video"].split("/")[0]
        assert float(row[f"p({row['label']})"]) == float(row["probability"])
        assert sum(float(row[f"p({name})"]) for name in classifier.classes) == pytest.approx(1, abs=1e-4)
    assert not (tmp_path / "out" / "failures.csv").exists()


def test_a_run_that_was_stopped_goes_on(classifier, videos, tmp_path, monkeypatch):
    out = tmp_path / "out"
    add, added = PredictionTable.add, []
    with monkeypatch.context() as patch:

        def stopping(self, video, *args):
            if len(added) == 2:
                raise KeyboardInterrupt
            added.append(video)
            add(self, video, *args)

        patch.setattr(PredictionTable, "add", stopping)
        with pytest.raises(KeyboardInterrupt):
            run(classifier, videos, out)
    assert len(rows(out)) == 2
    # A kill in the middle of a line leaves half of it.
    with (out / "predictions.csv").open("a") as file:
        file.write("Red/clip0.mp4,Re")
    progress = run(classifier, videos, out)
    assert (progress.done, progress.before) == (2, 2)
    assert len(rows(out)) == 4
    again = run(classifier, videos, out)
    assert (again.done, again.before) == (0, 4)
    # A full disk may have left half of the last cell, which is the name of the run.
    text = (out / "predictions.csv").read_text()
    (out / "predictions.csv").write_text(text[:-5])
    again = run(classifier, videos, out)
    assert (again.done, again.before) == (1, 3)


def test_what_changed_is_done_again(classifier, videos, tmp_path):
    out = tmp_path / "out"
    run(classifier, videos, out)
    shutil.copy(videos / "Red" / "clip0.mp4", videos / "Blue" / "clip0.mp4")
    progress = run(classifier, videos, out)
    assert (progress.done, progress.before) == (1, 3)
    assert rows(out)[0]["prediction"] == "Red"
    # Another spec is another prediction.
    with pytest.raises(UserError, match="4 videos of another checkpoint or way of reading"):
        run(classifier, videos, out, ClassifySpec(smoothing=Smoothing("mean", 3)))
    assert run(classifier, videos, out, ClassifySpec(smoothing=Smoothing("mean", 3)), overwrite=True).done == 4
    (videos / "Red" / "clip1.mp4").unlink()
    assert run(classifier, videos, out, ClassifySpec(smoothing=Smoothing("mean", 3))).before == 3
    assert len(rows(out)) == 4  # what a user deletes may be elsewhere


def test_files_of_one_name_have_their_own_rows(classifier, clips, tmp_path):
    out = tmp_path / "out"
    for folder, label in (("monday", "Blue"), ("tuesday", "Red")):
        (tmp_path / folder).mkdir()
        shutil.copy(clips / label / "clip0.mp4", tmp_path / folder / "camera.mp4")
    outputs = Outputs(json=Path("a.json"))
    for folder in ("monday", "tuesday"):
        assert run(classifier, tmp_path / folder, out, outputs=outputs).done == 1
    expected = {"camera.mp4": "Blue", "tuesday/camera.mp4": "Red"}
    assert {row["video"]: row["prediction"] for row in rows(out)} == expected
    assert json.loads((out / "tuesday/camera.mp4/a.json").read_text())["label"] == "Red"
    for folder in ("monday", "tuesday"):  # each is known again by its path
        assert run(classifier, tmp_path / folder, out, outputs=outputs).before == 1
    # A folder that was moved keeps its row, and the table says where it is now.
    (tmp_path / "monday").rename(tmp_path / "moved")
    assert run(classifier, tmp_path / "moved", out, outputs=outputs).before == 1
    assert {row["video"]: row["prediction"] for row in rows(out)} == expected
    assert rows(out)[0]["path"] == "../moved/camera.mp4"
    # The table is a catalog: corrected labels in it can be extracted and trained.
    assert {video.path.resolve() for video in open_catalog(out / "predictions.csv")} == {
        tmp_path / "moved" / "camera.mp4",
        tmp_path / "tuesday" / "camera.mp4",
    }


def test_a_table_that_a_spreadsheet_saved_is_gone_on_with(classifier, videos, tmp_path):
    out = tmp_path / "out"
    run(classifier, videos, out)
    table = [{"mine": "x", **row} for row in rows(out)]
    with (out / "predictions.csv").open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, list(table[0]), delimiter=";")
        writer.writeheader()
        writer.writerows(table)
    assert run(classifier, videos, out).before == 4
    assert [row["mine"] for row in rows(out)] == ["x"] * 4


def test_what_is_not_sure_is_marked(classifier, videos, tmp_path):
    run(classifier, videos, tmp_path / "out", ClassifySpec(abstain_below=1.0))
    table = rows(tmp_path / "out")
    assert {row["prediction"] for row in table} == {"unknown"}
    assert all(float(row["probability"]) > 0.3 for row in table)


def test_failures_do_not_stop_the_run(classifier, videos, tmp_path):
    out = tmp_path / "out"
    (videos / "Blue" / "broken.mp4").write_bytes(b"no video")
    (videos / "Blue" / "empty.mp4").touch()
    progress = run(classifier, videos, out)
    assert (progress.done, progress.failed, progress.failed_before) == (4, 2, 0)
    with (out / "failures.csv").open() as file:
        assert sorted((row["video"], row["stage"]) for row in csv.DictReader(file)) == [
            ("Blue/broken.mp4", "open"),
            ("Blue/empty.mp4", "open"),
        ]
    progress = run(classifier, videos, out)
    assert (progress.before, progress.failed, progress.failed_before) == (4, 0, 2)
    progress = run(classifier, videos, out, retry_failed=True)
    assert (progress.before, progress.failed, progress.failed_before) == (4, 2, 0)
    shutil.copy(videos / "Red" / "clip0.mp4", videos / "Blue" / "broken.mp4")
    (videos / "Blue" / "empty.mp4").unlink()
    progress = run(classifier, videos, out)
    assert (progress.done, progress.before, progress.failed) == (1, 4, 0)
    with (out / "failures.csv").open() as file:  # of a video that was not looked at, and may be of another folder
        assert [row["video"] for row in csv.DictReader(file)] == ["Blue/empty.mp4"]
    run(classifier, videos, out, retry_failed=True)
    assert not (out / "failures.csv").exists()


def test_files_that_hang_or_crash_the_decoder_cost_themselves_only(classifier, videos, tmp_path, sabotage):
    for name in ("hangs", "crashes"):
        shutil.copy(videos / "Red" / "clip0.mp4", videos / "Blue" / f"{name}.mp4")
    os.mkfifo(videos / "Blue" / "pipe.mp4")
    progress = run(classifier, videos, tmp_path / "out", timeout=2.0)
    assert (progress.done, progress.failed) == (4, 3)
    pipe, crashes, hangs = sorted(progress.failures, key=lambda line: "pipe crashes hangs".index(line[5:9]))
    assert pipe == "Blue/pipe.mp4: open: this is a pipe, not a regular file"
    assert crashes.startswith("Blue/crashes.mp4: decode: the decoder crashed (SIGSEGV) after ")
    assert hangs == "Blue/hangs.mp4: decode: the decoder hung: no sign of life for 2 s"


def test_many_side_by_side_as_one_here(classifier, clips, tmp_path):
    write_pieces(tmp_path / "long.mp4", [(0, 40), (1, 50), (2, 45)])
    paths = [tmp_path / "long.mp4", clips / "Red" / "clip0.mp4", tmp_path / "no.mp4"]
    many = dict(classifier.classify_many([(path, path) for path in paths], ClassifySpec(stride=1), workers=2))
    assert str(many.pop(tmp_path / "no.mp4")) == "open: the file does not exist"
    for path, there in many.items():
        here = classifier.classify(path, ClassifySpec(stride=1))
        np.testing.assert_allclose(there.windows, here.windows, atol=1e-5)
        np.testing.assert_array_equal(there.times, here.times)
        assert (there.info, there.label, len(there.segments)) == (here.info, here.label, len(here.segments))


def test_batches_cross_videos(classifier, videos, tmp_path):
    sizes = []

    def network(images):
        sizes.append(len(images))
        return classifier.backbone(images)

    network.digest, network.batch = classifier.backbone.digest, 16
    assert run(Classifier(classifier.checkpoint, network), videos, tmp_path / "out").done == 4
    assert len(sizes) > 1
    assert set(sizes[:-1]) == {16}


def test_features_of_a_store_are_used(classifier, clips, store, tmp_path):
    def unused(images):
        raise AssertionError("the network was asked")

    with_network = run(classifier, clips, tmp_path / "one")
    unused.digest, unused.batch = classifier.backbone.digest, 8
    bare = Classifier(classifier.checkpoint, unused)
    from_store = run(bare, clips, tmp_path / "two", store=FeatureStore(store))
    assert (with_network.done, from_store.done, from_store.from_store) == (24, 24, 24)
    for one, two in zip(rows(tmp_path / "one"), rows(tmp_path / "two"), strict=True):
        assert one["prediction"] == two["prediction"]
        assert float(one["probability"]) == pytest.approx(float(two["probability"]), abs=1e-4)


def test_features_are_found_by_content_and_what_they_lack_is_told(classifier, clips, store, tmp_path):
    folder = tmp_path / "in" / "Red"
    folder.mkdir(parents=True)
    shutil.copy(clips / "Red" / "clip0.mp4", folder / "clip0.mp4")  # another time of change
    shutil.copy(clips / "Red" / "clip1.mp4", folder / "renamed.mp4")
    (folder / "clip2.mp4").write_bytes((clips / "Red" / "clip2.mp4").read_bytes() + b"more")
    write_pieces(folder / "new.mp4", [(2, 20)])
    (folder / "broken.mp4").write_bytes(b"no video")
    progress = run(classifier, tmp_path / "in", tmp_path / "out", store=FeatureStore(store))
    assert (progress.done, progress.failed, progress.from_store) == (4, 1, 2)
    assert progress.not_from_store == {"changed since": 1, "not in it": 1}
    assert {row["prediction"] for row in rows(tmp_path / "out")} == {"Red"}
    shorter = run(classifier, clips, tmp_path / "clips", ClassifySpec(clip_seconds=1.9), store=FeatureStore(store))
    assert shorter.from_store == 12  # those of 1.8 and 1.9 s
    assert shorter.not_from_store == {"longer than the training clips": 12}


def test_a_store_of_another_recipe_is_refused(make_checkpoint, clips, store, tmp_path):
    other = Classifier.load(make_checkpoint("fps:4"), precision="float32")
    with pytest.raises(UserError, match="another recipe"):
        FolderRun(other, open_catalog(clips), tmp_path / "out", ClassifySpec(), store=FeatureStore(store))


def test_files_for_each_video(classifier, videos, tmp_path):
    outputs = Outputs(video=Path("out.mp4"), json=Path("a.json"))
    run(classifier, videos, tmp_path / "out", outputs=outputs)
    for name in ("Blue/clip0.mp4", "Red/clip1.mp4"):
        assert sorted(path.name for path in (tmp_path / "out" / name).iterdir()) == ["a.json", "out.mp4"]


def test_a_table_of_somebody_else_stays(classifier, videos, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "predictions.csv").write_text("mine,yours\n1,2\n")
    with pytest.raises(UserError, match="was not written by this command"):
        run(classifier, videos, tmp_path / "out")
    assert (tmp_path / "out" / "predictions.csv").read_text() == "mine,yours\n1,2\n"
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot write to"):
        run(classifier, videos, tmp_path / "file" / "out")
    with pytest.raises(UserError, match="is a file; expected a folder for the predictions"):
        run(classifier, videos, tmp_path / "file")


def test_probabilities_are_those_of_the_answer(classifier, videos, tmp_path):
    run(classifier, videos, tmp_path / "out")
    prediction = classifier.classify(videos / "Blue" / "clip1.mp4")
    row = rows(tmp_path / "out")[1]
    np.testing.assert_allclose([float(row[f"p({name})"]) for name in prediction.classes], prediction.mean, atol=1e-5)
