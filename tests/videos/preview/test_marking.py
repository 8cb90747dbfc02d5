"""Correcting labels on the page: what is marked, kept and saved, with names that are hostile to pages and tables."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.cli import command
from pipeline.commands.videos import list_videos
from pipeline.videos.catalog.catalog import open_catalog, read_catalog
from pipeline.videos.preview.dataset_page import Guess, write_dataset_page
from pipeline.videos.preview.thumbnails import read_previews
from tests.media import write_video

SCRIPT = "</script><img src=x onerror=\"document.title='caught'\">.mp4"
QUOTES = 'a "b", <i>;\' #1 100%.mp4'
NOT_UTF8 = os.fsdecode(b"caf\xe9.mp4")
PREDICTED = {SCRIPT: "Rain", QUOTES: "Ball", "=1+1.mp4": "unknown", NOT_UTF8: "Rain"}
SURE = {SCRIPT: 0.9, QUOTES: 0.8, "=1+1.mp4": 0.4, NOT_UTF8: 0.7}
CARD = "[...document.querySelectorAll('.video')].find(card => card.querySelector('.name').textContent === arguments[0])"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, name in enumerate(PREDICTED):
        made = write_video(tmp_path / "made.mp4", frames=8, first=number)
        # Not by parts: the slash in one name makes a folder of its beginning, as it does on every disk.
        place = tmp_path / "data" / "Ball" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        os.rename(made, place)
    return tmp_path / "data"


@pytest.fixture
def page(folder: Path, tmp_path: Path) -> Path:
    previews = list(read_previews(open_catalog(folder).videos))
    guesses = {
        f"Ball/{name}": Guess(label, (("Rain", SURE[name]), ("Ball", 1 - SURE[name])))
        for name, label in PREDICTED.items()
    }
    write_dataset_page(previews, [], tmp_path / "p.html", title="p", guesses=guesses, classes=("Ball", "Rain"))
    return tmp_path / "p.html"


def save(browser, path: Path) -> Path:
    """What the button saves, as a file."""
    script = "return new Blob(bytes(save().join('\\n') + '\\n')).arrayBuffer().then(all => [...new Uint8Array(all)])"
    path.write_bytes(bytes(browser.run(script)))
    return path


@pytest.mark.slow
def test_labels_are_corrected_kept_and_saved(folder, page, tmp_path, browser):
    browser.open(page)
    assert browser.run("return document.title") == "p"  # a name is text and nothing more
    assert browser.run("return rows.map(row => row[BEST][0][1])") == [0.4, 0.7, 0.8, 0.9]  # the least certain first
    assert browser.run("return document.getElementById('save').disabled") is True
    for name in (SCRIPT, QUOTES):
        browser.run(
            f"const input = {CARD}.querySelector('input'); input.value = arguments[1];"
            "input.dispatchEvent(new Event('change'))",
            f"Ball/{name}",
            ' La"mps ',
        )
    assert browser.run("return document.getElementById('save').textContent") == "save 2 corrections"
    browser.open(tmp_path / "p.html", "marks=marked")  # they are there when the page is opened again
    browser.ask("POST", "/refresh", {})
    assert browser.run("return document.querySelectorAll('.video').length") == 2
    marked = read_catalog(save(browser, tmp_path / "corrections.csv"))
    assert {video.name: (video.label, video.path.is_file()) for video in marked} == {
        f"Ball/{name}": ('La"mps', True) for name in (SCRIPT, QUOTES)
    }

    # What is shown can be accepted at once; a prediction that is the label already is no correction.
    browser.run("document.getElementById('clear').click(); location.hash = ''")
    browser.wait("document.querySelectorAll('.video').length === 4")
    browser.click("#accept")
    table = save(browser, tmp_path / "accepted.csv")
    accepted = read_catalog(table)
    assert {video.name: (video.label, video.path.is_file()) for video in accepted} == {
        f"Ball/{name}": ("Rain", True) for name in (SCRIPT, NOT_UTF8)
    }

    # The table of the data folder takes them.
    for source in (folder, table):
        call = [str(source), "--out", str(folder / "data_file.csv"), "--quiet"]
        assert command.run(list_videos.main, call) == 0
    assert {video.name: video.label for video in open_catalog(folder)} == {
        f"Ball/{name}": "Rain" if name in (SCRIPT, NOT_UTF8) else "Ball" for name in PREDICTED
    }


@pytest.mark.slow
def test_a_card_opens_large_and_links_its_video(page, browser):
    browser.open(page)
    browser.click(".stage", 3)
    browser.wait("document.getElementById('player').readyState >= 2")  # the link leads to the video, and it plays
    shown = "return document.querySelector('#large .name').textContent"
    assert browser.run(shown) == f"Ball/{SCRIPT}"
    browser.click("#before")
    assert browser.run(shown) == f"Ball/{QUOTES}"
    browser.wait("document.getElementById('player').readyState >= 2")
    browser.click("#close")
    assert browser.run("return document.getElementById('large').open") is False
