"""The command: its files, its lines, its refusals."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from pipeline.cli import command
from pipeline.commands.extraction import extract_features
from pipeline.commands.inference.classify import main, parser
from pipeline.commands.training import train
from pipeline.videos.media import open_video
from tests.inference.conftest import CLASSES, checkpoint, clips, make_checkpoint, store, write_pieces  # noqa: F401 - fixtures
from tests.media import write_video


@pytest.fixture
def movie(tmp_path: Path) -> Path:
    return write_pieces(tmp_path / "movie.mp4", [(0, 50), (2, 50)])


def run(*argv: object) -> int:
    return command.run(main, [str(item) for item in argv], parser=parser)


def test_all_files(checkpoint, movie, tmp_path, capsys):  # noqa: F811
    out = tmp_path / "new"
    status = run(
        *(checkpoint, movie, "--output", out / "result.avi", "--json", out / "a.json", "--csv", out / "a.csv"),
        *("--segments", out / "s.csv", "--srt", out / "a.srt", "--smooth", "centred:5", "--min-duration", 1),
    )
    assert status == 0
    with open_video(out / "result.avi") as video:
        assert (video.info().frames, video.info().fps) == (100, pytest.approx(10))
        assert (video.info().width, video.info().height) == (96, 64)
    content = json.loads((out / "a.json").read_text())
    assert [segment["label"] for segment in content["segments"]] == ["Blue", "Red"]
    assert content["frames"] == 100
    assert sum(content["probabilities"].values()) == pytest.approx(1, abs=1e-4)
    assert f"100 frames, {len(content['windows'])} windows, 2 segments" in capsys.readouterr().out
    with (out / "a.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["frame"]) for row in rows] == list(range(100))
    np.testing.assert_allclose([float(row["time"]) for row in rows], np.arange(100) / 10, atol=1e-6)
    for row in rows:
        assert row["label"] == max(CLASSES, key=lambda name: float(row[f"p({name})"]))
    with (out / "s.csv").open() as file:
        assert [row["label"] for row in csv.DictReader(file)] == ["Blue", "Red"]
    assert (out / "a.srt").read_text().startswith("1\n00:00:00,000 --> 00:00:0")
    assert sorted(path.name for path in out.iterdir()) == ["a.csv", "a.json", "a.srt", "result.avi", "s.csv"]


def test_data_only_and_quiet(checkpoint, movie, tmp_path, capsys, monkeypatch):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    assert run(checkpoint, movie, "--no-video", "--json", "a.json", "--quiet") == 0
    assert capsys.readouterr().out == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "movie.mp4"]


@pytest.mark.slow
def test_the_mean_of_the_last_128_predictions_makes_the_difference(clips, tmp_path):  # noqa: F811
    """A classifier of single images, and a video in which every fourth second is something else."""
    features, head = tmp_path / "features", tmp_path / "head"
    recipe = ["--sampling", "all", "--backbone", "tiny", "--weights", "random", "--size", "32", "--workers", "1"]
    assert extract_features.main([str(clips), "--out", str(features), *recipe, "--quiet"]) == 0
    settings = ["--head", "mlp", "--members", "1", "--window", "1", "--units", "16", "--epochs", "30"]
    settings += ["--learning-rate", "0.01"]
    assert train.main([str(features), "--out", str(head), *settings, "--quiet"]) == 0
    pieces = [(0, 6), (2, 2)] * 10
    movie = write_pieces(tmp_path / "movie.mp4", pieces)

    def labels(smoothing: str) -> list[str]:
        table = tmp_path / f"{smoothing.replace(':', '')}.csv"
        assert run(head, movie, "--no-video", "--csv", table, "--smooth", smoothing, "--quiet") == 0
        with table.open() as file:
            return [row["label"] for row in csv.DictReader(file)]

    truth = [CLASSES[label] for label, frames in pieces for _ in range(frames)]
    alone, averaged = labels("mean:1"), labels("mean:128")
    assert np.mean([one == other for one, other in zip(alone, truth, strict=True)]) > 0.9
    assert alone == labels("none")
    assert averaged == ["Blue"] * 80


class FakeScreen:
    """Stands for the window; q is pressed at a frame."""

    shown: list = []
    last = 10**9

    def __init__(self, title: str) -> None:
        type(self).shown = []

    def __enter__(self):
        return self

    def __exit__(self, *exc) -> None:
        pass

    def show(self, image: np.ndarray) -> bool:
        self.shown.append(image.copy())
        return len(self.shown) < self.last


def test_a_file_is_written_and_shown_together_until_q(checkpoint, movie, tmp_path, capsys, monkeypatch):  # noqa: F811
    monkeypatch.setattr("pipeline.commands.inference.watch.open_screen", FakeScreen)
    out = tmp_path / "out.mp4"
    assert run(checkpoint, movie, "--output", out, "--show", "--style", "plain") == 0
    assert len(FakeScreen.shown) == 100
    with open_video(out) as video:
        for shown, frame in zip(FakeScreen.shown, video, strict=True):
            assert np.abs(shown.astype(int) - frame.image).mean() < 8  # H.264 loses a little
    monkeypatch.setattr(FakeScreen, "last", 30)
    assert run(checkpoint, movie, "--output", out, "--overwrite", "--show") == 0
    with open_video(out) as video:
        assert len(video.times()) == 30
    assert "note: out.mp4 ends after 30 frames, where the window was closed" in capsys.readouterr().out
    assert run(checkpoint, movie, "--no-video", "--show") == 0
    assert len(FakeScreen.shown) == 30
    assert sorted(path.name for path in tmp_path.iterdir()) == ["movie.mp4", "out.mp4"]


def test_each_window_is_printed(checkpoint, movie, tmp_path, capsys):  # noqa: F811
    assert run(checkpoint, movie, "--no-video", "--json", tmp_path / "a.json", "--each-window", "--stride", 8) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  frames ")]
    windows = json.loads((tmp_path / "a.json").read_text())["windows"]
    assert len(lines) == len(windows) > 1
    assert lines[0].startswith("  frames 0 to ")
    assert lines[-1].split(":")[0].endswith(" to 99")
    assert lines[0].split(": ")[1].startswith("Blue ")


def test_the_lines(checkpoint, movie, tmp_path, capsys):  # noqa: F811
    smoothing = ["--smooth", "centred:5", "--min-duration", 1]
    assert run(checkpoint, movie, "--output", tmp_path / "r.mp4", *smoothing, "--precision", "float32") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines.pop(0).startswith("tiny, random:0 weights: ")
    assert lines[0].startswith("note: longer than the training clips: read in windows of 2 s (the median of training)")
    assert lines[1].startswith("  00:00:00.000 - 00:00:0")
    assert lines[1].split()[3] == "Blue"
    assert lines[-1].endswith(f"2 segments; wrote {tmp_path / 'r.mp4'}")


def test_a_video_is_drawn_as_it_was_asked_for(checkpoint, movie, tmp_path):  # noqa: F811
    out = tmp_path / "result.avi"
    assert run(checkpoint, movie, "--out", out, "--quiet", "--fps", 15, "--style", "plain", "--codec", "mjpg") == 0
    with open_video(out) as video:
        assert (video.info().frames, video.info().codec) == (100, "mjpeg")
        assert video.info().fps == pytest.approx(15)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--stride", "0"], "--stride 0: expected 1 or more steps"),
        (["--stride", "99"], "--stride 99: expected 1 to 8 steps, so that windows leave no gap"),
        (["--smooth", "box:3"], "smoothing 'box' is unknown; expected none, mean:K"),
        (["--abstain-below", "7"], "--abstain-below 7: expected a probability from 0 to 1"),
        (["--min-duration", "-1"], "--min-duration -1: expected seconds, 0 or more"),
        (["--fps", "0"], "--fps 0: expected more than 0"),
        (["--output", "a.webm"], "the name of the output must end in one of .avi, .mp4"),
        (["--output", "movie.mp4"], "movie.mp4 is the video itself"),
        (["--json", "a.csv", "--csv", "a.csv"], "a.csv is named for two outputs"),
        (["--json", "movie.mp4/a.json"], "is not a folder"),
        (["--no-video", "--json", "/proc/a.json"], "cannot write /proc/a.json: no file can be made in /proc"),
        (["--weights", "random:5"], "was trained on features of tiny with other weights"),
        (["--weights", "nowhere.h5"], "--weights nowhere.h5: there is no such file"),
    ],
)
def test_wrong_calls_are_one_line(checkpoint, movie, tmp_path, capsys, monkeypatch, arguments, line):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    before = movie.read_bytes()
    assert run(checkpoint, "movie.mp4", *arguments) == 2
    error = capsys.readouterr().err.splitlines()
    assert len([text for text in error if text.startswith("error: ")]) == 1
    assert line in error[-1]
    assert movie.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["movie.mp4"]


def test_wrong_inputs_are_one_line(checkpoint, movie, tmp_path, capsys):  # noqa: F811
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("no video")
    for folder, video, line in (
        (tmp_path, movie, "is not a checkpoint"),
        (checkpoint, tmp_path / "missing.mp4", "the file does not exist"),
        (checkpoint, tmp_path / "empty.mp4", "the file is empty (0 bytes)"),
        (checkpoint, tmp_path / "text.mp4", "not a readable media file"),
    ):
        assert run(folder, video, "--output", tmp_path / "out.avi") == 2
        error = capsys.readouterr().err.splitlines()
        assert error[-1].startswith(f"error: {video if folder == checkpoint else folder}")
        assert line in error[-1]
    assert not (tmp_path / "out.avi").exists()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("hangs.mp4", "the decoder hung: no sign of life for 1.5 s"),
        ("crashes.mp4", "the decoder crashed (SIGSEGV)"),
        ("pipe.mp4", "this is a pipe, not a regular file"),
        ("zero.mp4", "this is a device, not a regular file"),
    ],
)
def test_a_file_that_nobody_can_read_is_one_line(checkpoint, movie, tmp_path, capsys, sabotage, name, reason):  # noqa: F811
    path = tmp_path / name
    if name == "pipe.mp4":
        os.mkfifo(path)
    elif name == "zero.mp4":
        path.symlink_to("/dev/zero")
    else:
        shutil.copy(movie, path)
    assert run(checkpoint, path, "--output", tmp_path / "o.avi", "--timeout", "1.5") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {path}: {reason}")


def test_strange_class_names(make_checkpoint, tmp_path, capsys):  # noqa: F811
    names = ("🏒\U000f0000 hockey", "x" * 200, "time")
    folder = make_checkpoint("fps:5", classes=names)
    video = write_video(tmp_path / "a.mp4", frames=12, size=(64, 64))
    status = run(
        folder, video, "--output", tmp_path / "r.avi", "--csv", tmp_path / "r.csv", "--srt", tmp_path / "r.srt"
    )
    assert status == 0
    assert "of the class names; they are drawn as boxes" in capsys.readouterr().out
    with (tmp_path / "r.csv").open() as file:
        row = next(csv.DictReader(file))
    assert list(row) == ["frame", "time", "label", *(f"p({name})" for name in names)]
    assert row["label"] in names


def test_a_page_beside_its_video(checkpoint, movie, tmp_path, capsys):  # noqa: F811
    assert run(checkpoint, movie, "--html", tmp_path / "out" / "player.html") == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["player.html", "player.mp4"]
    assert 'src="./player.mp4"' in (tmp_path / "out" / "player.html").read_text()
    assert run(checkpoint, movie, "--html", movie.with_suffix(".html")) == 0
    assert 'src="./movie.labelled.mp4"' in movie.with_suffix(".html").read_text()
    avi = write_pieces(tmp_path / "a.avi", [(0, 10)], kind="mpeg4_avi")
    assert run(checkpoint, avi, "--html", tmp_path / "p.html", "--no-video") == 2
    assert "browsers play neither a.avi (mpeg4) nor another file" in capsys.readouterr().err


def test_clips_of_a_label(checkpoint, movie, tmp_path, capsys):  # noqa: F811
    options = ("--no-video", "--min-duration", 1, "--clips", tmp_path / "clips")
    assert run(checkpoint, movie, *options, "--cut", "Red", "--cut-out", "Red") == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"{tmp_path / 'clips' / 'Red'}: 1 clip" in lines
    assert f"{tmp_path / 'clips' / 'without Red'}: 1 clip" in lines
    assert run(checkpoint, movie, *options, "--cut", "Purple") == 2
    assert "--cut 'Purple': there is no such class" in capsys.readouterr().err


def test_a_folder(checkpoint, clips, tmp_path, capsys):  # noqa: F811
    folder = tmp_path / "in"
    (folder / "Red").mkdir(parents=True)
    for number in range(2):
        shutil.copy(clips / "Red" / f"clip{number}.mp4", folder / "Red")
    (folder / "Red" / "broken.mp4").write_text("no video")
    out = tmp_path / "out"
    assert run(checkpoint, folder, "--output", out) == 1
    captured = capsys.readouterr()
    assert captured.err.splitlines()[-1].startswith("failed: Red/broken.mp4: open: not a readable media file")
    assert captured.out.splitlines()[-1] == (
        f"{out / 'predictions.csv'}: 2 videos classified, 1 failed, see {out / 'failures.csv'}"
    )
    (folder / "Red" / "broken.mp4").unlink()
    assert run(checkpoint, folder, "--output", out) == 0
    assert capsys.readouterr().out.splitlines()[-1] == (
        f"{out / 'predictions.csv'}: 0 videos classified, 2 done before"
    )
    drawn = tmp_path / "drawn"
    assert run(checkpoint, folder, "--output", drawn / "labelled.mp4", "--quiet") == 0
    assert {path.relative_to(drawn).as_posix() for path in drawn.rglob("labelled.mp4")} == {
        f"Red/clip{number}.mp4/labelled.mp4" for number in range(2)
    }
    for arguments in ([], ["--output", "labelled.mp4"]):
        assert run(checkpoint, folder, *arguments) == 2
        assert "many videos need a folder: --output results, or results/NAME.mp4" in capsys.readouterr().err
    (tmp_path / "nothing").mkdir()
    assert run(checkpoint, tmp_path / "nothing", "--output", out) == 2
    assert "no videos in" in capsys.readouterr().err


def test_several_files_are_printed_where_nothing_is_to_be_written(checkpoint, clips, tmp_path, monkeypatch, capsys):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    files = [clips / "Red" / "clip0.mp4", clips / "Blue" / "clip1.mp4"]
    assert run(checkpoint, *files) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "2 videos classified; nothing was written, --output FOLDER does"
    assert lines[-3].startswith("clip0.mp4: Red ")
    assert lines[-2].startswith("clip1.mp4: Blue ")
    (tmp_path / "broken.mp4").write_text("no video")
    assert run(checkpoint, files[0], "broken.mp4", "--abstain-below", 1, "--html", "page.html") == 1
    captured = capsys.readouterr()
    assert captured.err.splitlines()[-1].startswith("failed: broken.mp4: open: not a readable media file")
    assert captured.out.splitlines()[-2].startswith("clip0.mp4: unknown (Red ")
    assert captured.out.splitlines()[-1] == "1 video classified, 1 failed; wrote page.html"
    assert {path.name for path in tmp_path.iterdir()} == {"broken.mp4", "page.html"}
    assert run(checkpoint, *files, "--json", "data.json") == 2
    assert "many videos need a folder" in capsys.readouterr().err


def test_several_files_and_a_page_of_them(checkpoint, clips, tmp_path, capsys):  # noqa: F811
    hostile = "<script>alert(1)<b>.mp4"
    for folder, label in (("one", "Blue"), ("two", "Red")):
        (tmp_path / folder).mkdir()
        shutil.copy(clips / label / "clip0.mp4", tmp_path / folder / "same.mp4")
    shutil.copy(clips / "Green" / "clip1.mp4", tmp_path / "two" / hostile)
    sources = [tmp_path / "one" / "same.mp4", tmp_path / "two"]
    call = (checkpoint, *sources, "--output", tmp_path / "out")
    assert run(*call) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sorted(lines[-5].split(", ")) == ["Blue 1", "Green 1", "Red 1"]
    least = [line.removeprefix("  least certain: ") for line in lines[-4:-1]]
    assert sorted(line.rpartition(":")[0] for line in least) == sorted(["same.mp4", "two/same.mp4", hostile])
    shares = [int(line.split()[-3].rstrip("%,")) for line in least]
    assert shares == sorted(shares)
    # The page is asked for afterwards: nothing is classified again, and nothing is drawn.
    page = tmp_path / "review.html"
    assert run(*call, "--html", page) == 0
    assert capsys.readouterr().out.splitlines()[-1] == (
        f"{tmp_path / 'out' / 'predictions.csv'}: 0 videos classified, 3 done before; wrote {page}"
    )
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["predictions.csv"]
    data = json.loads(page.read_text().partition('id="data">')[2].partition("</script>")[0])
    assert data["classes"] == list(CLASSES)
    assert {row[0]: row[14] for row in data["rows"]} == {"same.mp4": "Blue", "two/same.mp4": "Red", hostile: "Green"}
    assert run(*call, "--html", page) == 2
    assert f"{page} exists; give --overwrite" in capsys.readouterr().err
    # With videos drawn, each has its player, which its card links.
    drawn = tmp_path / "drawn"
    assert run(checkpoint, *sources, "--output", drawn / "labelled.mp4", "--html", drawn / "all.html", "--quiet") == 0
    data = json.loads((drawn / "all.html").read_text().partition('id="data">')[2].partition("</script>")[0])
    assert "./two/same.mp4/all.html" in [row[15] for row in data["rows"]]
    assert (drawn / "two" / "same.mp4" / "all.html").is_file()
    assert run(checkpoint, tmp_path / "no.mp4", tmp_path / "two", "--output", drawn) == 2
    assert f"{tmp_path / 'no.mp4'} does not exist" in capsys.readouterr().err


def test_what_is_unknown_has_one_name(checkpoint, movie, tmp_path, capsys):  # noqa: F811
    assert run(checkpoint, movie, "--no-video", "--json", tmp_path / "a.json", "--abstain-below", "1") == 0
    assert json.loads((tmp_path / "a.json").read_text())["label"] == "unknown"
    last = capsys.readouterr().out.splitlines()[-1]
    assert re.match(rf"{re.escape(str(movie))}: unknown \((Blue|Red) \d+%\), 100 frames", last)


def test_options_of_another_kind_of_source(checkpoint, movie, tmp_path, capsys):  # noqa: F811
    assert run(checkpoint, movie, "--output", tmp_path / "out") == 2
    assert "the name of the output must end in one of" in capsys.readouterr().err
    for option in (["--store", tmp_path], ["--retry-failed"], ["--seconds", 3], ["--patience", 3]):
        assert run(checkpoint, movie, *option) == 2
        assert f"{option[0]} has no meaning for a file ({movie}); leave it out" in capsys.readouterr().err
    assert run(checkpoint, movie, "--no-video", "--output", tmp_path / "r.avi") == 2
    assert "--no-video leaves out the video that --output" in capsys.readouterr().err
    assert run(checkpoint, "--export", tmp_path / "model", "--smooth", "mean:3") == 2
    assert "--smooth has no meaning for --export; leave it out" in capsys.readouterr().err
    assert run(checkpoint) == 2
    assert "name what is to be classified" in capsys.readouterr().err
    assert run(checkpoint, movie, "--export", tmp_path / "model") == 2
    assert "--export writes a model and classifies nothing" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_precision_is_told(make_checkpoint, tmp_path, capsys):  # noqa: F811
    folder = make_checkpoint("fps:5", versions={"precision": "bfloat16"})
    video = write_video(tmp_path / "a.mp4", frames=12, size=(64, 64))
    assert run(folder, video, "--no-video", "--precision", "float32") == 0
    assert "note: the features are computed in float32; those of the training were in bfloat16" in (
        capsys.readouterr().out
    )
