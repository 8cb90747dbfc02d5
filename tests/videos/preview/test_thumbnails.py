"""The page and the sheets: what is in them, and what a browser makes of the page."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.videos.catalog.catalog import Video, open_catalog
from pipeline.videos.preview.contact_sheet import write_sheets
from pipeline.videos.preview.dataset_page import write_dataset_page
from pipeline.videos.preview.thumbnails import Preview, read_previews
from pipeline.videos.quality.problems import Problem, read_problems
from tests.media import write_video

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NASTY = "</script><img src=x onerror=\"document.title='caught'\">.mp4"


def open_page(page: Path, folder: Path, view: str = "") -> str:
    """The page as the browser has it after its script ran."""
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
    flags += ["--no-first-run", f"--user-data-dir={folder / 'browser'}", "--virtual-time-budget=3000", "--dump-dom"]
    address = f"{page.as_uri()}{'#' + view if view else ''}"
    done = subprocess.run([str(CHROMIUM), *flags, address], capture_output=True, text=True, timeout=120, check=True)
    return done.stdout


def names_in(dom: str) -> list[str]:
    return [html.unescape(name) for name in re.findall(r'<span class="name">(.*?)</span>', dom, re.DOTALL)]


@pytest.fixture(scope="module")
def looks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("set")
    for name in (
        "train/Ball/1.mp4",
        "train/Ball/2.mp4",
        "test/Über <b>/3.mkv",
        f"test/Über <b>/{NASTY}",
    ):
        write_video(folder / name, "h264_mkv" if name.endswith("mkv") else "h264_mp4", frames=25 if "1" in name else 50)
    (folder / "test" / "Ball").mkdir()
    (folder / "test" / "Ball" / "bad.mp4").write_text("x")
    return list(read_previews(open_catalog(folder).videos, workers=2))


@pytest.fixture(scope="module")
def page(looks, tmp_path_factory):
    problems = [Problem("train/Ball/1.mp4", "damaged", "2 of 25 frames"), Problem("", "balance", "class Ball has 3")]
    path = tmp_path_factory.mktemp("page") / "explore.html"
    write_dataset_page(looks, problems, path, title="my <set>")
    return path


def test_looks_hold_strips_and_counts(looks):
    assert [look.video.frames for look in looks if not look.error] == [50, 50, 25, 50]
    assert [look.video.name for look in looks if look.error] == ["test/Ball/bad.mp4"]
    picture = cv2.imdecode(np.frombuffer(looks[-1].strip, np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (96, 6 * 192, 3)


def test_the_page_needs_nothing_else(page):
    text = page.read_text(encoding="utf-8")
    assert not re.search(r'(src|href)="?https?:|@import|url\((?!"data:image/)', text)
    assert "my &lt;set&gt;" in text
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])  # type: ignore[index]
    assert len(data["rows"]) == 5
    assert data["set"] == [["balance", "class Ball has 3"]]


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
def test_a_browser_shows_it(page, tmp_path):
    dom = open_page(page, tmp_path)
    assert re.search(r'data-ready="\d+"', dom)
    assert "<title>my &lt;set&gt;</title>" in dom  # Not "caught": a name is text and nothing more.
    assert len(names_in(dom)) == 5
    assert any(name.endswith(NASTY) for name in names_in(dom))
    assert dom.count("background-image: url(&quot;data:image/jpeg;base64,") == 4
    assert "damaged: 2 of 25 frames" in dom
    assert "unreadable: open: not a readable media file" in dom
    assert "balance: class Ball has 3" in dom
    assert "5 of 5 videos" in dom
    assert re.search(r"<td>Ball</td><td>2 · 3\.0 s</td><td>1 · 0\.0 s</td>", dom)
    assert dom.count("<svg") == 3


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
@pytest.mark.parametrize(
    ("view", "count"),
    [("label=Ball", 3), ("split=test", 3), ("problem=damaged", 1), ("problem=none", 3), ("problem=any", 2)]
    + [("label=Ball&split=train&text=2", 1), ("label=gone", 5)],
)
def test_filters(page, tmp_path, view, count):
    dom = open_page(page, tmp_path, view)
    assert len(names_in(dom)) == count
    assert f"{count} of 5 videos" in dom


def test_many_videos_stay_a_small_page(tmp_path):
    """The more videos, the smaller their strips."""
    videos = [Video(f"{n}.mp4", write_video(tmp_path / "1.mp4", frames=10, size=(640, 360))) for n in (1,)]
    few = next(read_previews(videos, workers=1)).strip
    from pipeline.videos.preview import thumbnails

    _, many = next(thumbnails._read_strip(lambda: None, videos[0].path, thumbnails._PAGE_BYTES * 3 // 4 // 5000))
    assert len(many) <= 3600 < len(few)
    looks = [
        Preview(Video(f"{n}.mp4", Path("x"), str(n % 7), "train", "", 10, 25, 640, 360, 0.4), many) for n in range(5000)
    ]
    write_dataset_page(looks, [], tmp_path / "p.html", title="many")
    assert (tmp_path / "p.html").stat().st_size < 30_000_000


def test_sheets(looks, tmp_path):
    sheets = write_sheets(looks, tmp_path / "sheets", rows=1)
    assert [path.name for path in sheets] == [
        "test_Über <b>_1.png",
        "test_Über <b>_2.png",
        "train_Ball_1.png",
        "train_Ball_2.png",
    ]
    data = np.fromfile(sheets[2], np.uint8)
    assert cv2.imdecode(data, cv2.IMREAD_COLOR).shape == (96 + 22, 6 * 192, 3)


def test_problems_are_read_back(tmp_path):
    (tmp_path / "p.csv").write_text("severity,problem,video,label,split,detail\nfault,damaged,a.mp4,x,train,2 of 3\n")
    assert read_problems(tmp_path / "p.csv") == [Problem("a.mp4", "damaged", "2 of 3")]
    (tmp_path / "p.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match=r"expected the table that check_videos\.py writes"):
        read_problems(tmp_path / "p.csv")


def test_a_page_that_cannot_be_written(looks, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot write"):
        write_dataset_page(looks, [], tmp_path / "file" / "p.html", title="x")
