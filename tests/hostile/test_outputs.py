"""What is written carries nothing on: names and labels of strangers are text in pages, tables and paths."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cli import command
from pipeline.commands import load
from pipeline.extraction.store.import_export import export_arrays
from pipeline.extraction.store.store import FeatureStore
from pipeline.files.replacing import place_in
from pipeline.files.tables import covered, read_table, uncovered, write_table
from pipeline.videos.catalog.catalog import Video
from pipeline.videos.preview.dataset_page import write_dataset_page
from pipeline.videos.preview.thumbnails import Preview
from pipeline.videos.quality.problems import Problem
from tests.extraction.store.test_store import write
from tests.training.stores import write_store

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
RAN = "document.title='RAN'"
LABELS = (
    f"<img src=x onerror={RAN}>",
    f"</script><script>{RAN}</script>",
    f"'\"><svg onload={RAN}>",
    "=cmd|' /C calc'!A0",
    "$x^{",
    "caf\udce9\x1b[2J",
)


def run(verb: str, *words: object) -> int:
    opened = load(verb)
    return command.run(opened.main, [os.fspath(word) if isinstance(word, Path) else str(word) for word in words])


def shown(page: Path) -> str:
    """The page as a browser has it after its scripts ran."""
    words = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=2000", "--dump-dom"]
    done = subprocess.run(
        [*words, page.absolute().as_uri()], capture_output=True, text=True, timeout=60, errors="replace"
    )
    assert "<body" in done.stdout, done.stderr[-500:]
    return done.stdout


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint whose classes have such names, and the pages that commands make of it."""
    folder = tmp_path_factory.mktemp("outputs")
    store = write_store(folder / "store", per_class=6, classes=LABELS)
    for run_number in (1, 2):
        words = ("--head", "mlp", "--members", 1, "--epochs", run_number)
        assert run("train", store, "--out", folder / f"run<b>{run_number}", *words) == 0
    assert run("compare", folder / "run<b>1", folder / "run<b>2", "--out", folder / "compare.html") == 0
    assert run("evaluate", folder / "run<b>1", store, "--split", "all", "--out", folder / "figures") == 0
    previews = [Preview(Video(f"{label}.mp4", folder / "x.mp4", label, "train")) for label in LABELS]
    problems = [Problem(f"{label}.mp4", "unreadable", label) for label in LABELS] + [Problem("", "balance", LABELS[0])]
    write_dataset_page(previews, problems, folder / "explore.html", title=LABELS[0])
    return folder


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")
@pytest.mark.parametrize("page", ["run<b>1/report.html", "compare.html", "explore.html"])
def test_no_page_runs_what_a_name_says(page, trained):
    dom = shown(trained / page)
    assert "<title>RAN" not in dom
    assert "<b>1</b>" not in dom


@pytest.mark.slow
def test_class_names_that_are_no_utf8_are_kept(trained):
    from pipeline.training.checkpoint import Checkpoint

    opened = Checkpoint.load(trained / "run<b>1")
    assert set(opened.classes) == set(LABELS)
    assert opened.metrics["accuracy"]


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")
def test_the_player_runs_nothing(tmp_path, make_prediction):
    from pipeline.inference.outputs.player import write_player

    video = tmp_path / f"<img src=x onerror={RAN.replace('/', '')}>.mp4"
    video.touch()
    write_player(make_prediction(video), video, tmp_path / "player.html")
    assert "<title>RAN" not in shown(tmp_path / "player.html")


@pytest.fixture
def make_prediction():
    from pipeline.inference.timeline.prediction import VideoPrediction
    from pipeline.inference.timeline.segments import find_segments
    from pipeline.inference.timeline.window_grid import WindowGrid
    from pipeline.videos.media.frame import VideoInfo

    def make(video: Path) -> VideoPrediction:
        times, classes = np.arange(10) / 10, LABELS[:2]
        probabilities = np.tile(np.array([[0.9, 0.1]], np.float32), (10, 1))
        grid = WindowGrid(np.arange(10), np.array([0]), np.array([10]), 10)
        labels = np.zeros(10, int)
        segments = find_segments(labels, probabilities, times, 1.0, classes)
        info = VideoInfo(10, 10, 10.0, 64, 48, 1.0, "h264")
        return VideoPrediction(video, classes, info, grid, times, probabilities[:1], probabilities, labels, segments)

    return make


# -- tables ----------------------------------------------------------------------------------------


@given(st.text(max_size=20))
def test_what_is_covered_comes_back(text):
    assert uncovered(covered(text)) == text


@pytest.mark.parametrize("text", ["=1+1", "+x", "-x.mp4", "@SUM(A1)", "'=x", "''=x", "\t=x", "=", "-", "-5-x"])
def test_a_spreadsheet_computes_nothing(text, tmp_path):
    write_table([{"a": text, "b": "-1.5", "c": "plain"}], ("a", "b", "c"), tmp_path / "t.csv")
    with (tmp_path / "t.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["a"][0] == "'"
    assert row["b"] == "-1.5"
    assert read_table(tmp_path / "t.csv") == [{"a": text.strip(), "b": "-1.5", "c": "plain"}]


def test_names_of_files_that_are_formulas_go_through_every_table(tmp_path):
    from pipeline.errors import VideoError
    from pipeline.videos.catalog.clip_origins import ClipOrigin, read_origins, record_origins
    from pipeline.videos.catalog.failures import FailureLog

    FailureLog(tmp_path / "failures.csv").add("=a.mp4", VideoError("open", "=b"))
    assert "=a.mp4" in FailureLog(tmp_path / "failures.csv")
    origin = ClipOrigin("=a.mp4", "-b.mp4", "@c", "0", "1", "0", "25", "=g", "s")
    record_origins(tmp_path, [origin])
    assert read_origins(tmp_path) == {"=a.mp4": origin}
    for name in ("failures.csv", "clips.csv"):
        for row in list(csv.reader((tmp_path / name).read_text().splitlines()))[1:]:
            assert not any(cell.startswith(("=", "@", "+", "-b")) for cell in row)


# -- paths -----------------------------------------------------------------------------------------


@given(st.lists(st.sampled_from(["..", ".", "a", "b c", "/", "//", "é"]), min_size=1, max_size=6))
def test_no_name_leads_out_of_a_folder(parts):
    folder = Path("/some/folder")
    for name in ("/".join(parts), "/" + "/".join(parts)):
        place = place_in(folder, name)
        assert ".." not in place.parts
        assert place.is_relative_to(folder)


def test_no_array_is_written_outside_of_the_folder(tmp_path):
    names = ["../../a.mp4", f"{tmp_path}/elsewhere/b.mp4", "x/../../../c.mp4", "plain.mp4"]
    write(tmp_path / "store", dict.fromkeys(names, 2))
    written = list(export_arrays(FeatureStore(tmp_path / "store"), tmp_path / "out"))
    assert len(set(written)) == 4
    assert all(path.resolve().is_relative_to(tmp_path / "out") for path in written)
    assert not (tmp_path / "elsewhere").exists()


# -- the terminal ----------------------------------------------------------------------------------


def test_names_cannot_steer_the_terminal(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "\x1b[2J\x07\u202eevil.mp4").write_bytes(b"x")
    program = "import sys; from pipeline.commands import main; sys.exit(main())"
    words = [sys.executable, "-c", program, "list", "data"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, timeout=60)
    assert done.returncode == 1
    assert b"\\x1b[2J\\x07\\u202eevil.mp4" in done.stderr
    assert b"\x1b" not in done.stdout + done.stderr
