"""The page, in a real browser: a click moves the video, arrow keys step by a frame."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import UserError
from pipeline.files.system import link_from
from pipeline.inference.classify_spec import ClassifySpec
from pipeline.inference.drawing.render import render_video
from pipeline.inference.outputs.player import choose_video, page_data, write_player
from pipeline.inference.timeline.prediction import VideoPrediction
from pipeline.inference.timeline.smoothing import Smoothing
from tests.inference.conftest import write_pieces
from tests.media import uneven_times, write_video

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")


class Browser:
    """A headless Chromium, spoken to by the WebDriver protocol. Source: https://www.w3.org/TR/webdriver2/"""

    def __init__(self, address: str, profile: Path) -> None:
        self._address = address
        arguments = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking")
        arguments += ("--disable-sync", "--no-first-run", "--window-size=1300,900", f"--user-data-dir={profile}")
        options = {"binary": BROWSER, "args": list(arguments)}
        wanted = {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": options}}
        self._session = self._ask("POST", "/session", {"capabilities": wanted})["sessionId"]

    def _ask(self, method: str, path: str, body: dict | None = None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self._address + path, data, {"Content-Type": "application/json"}, method=method
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)["value"]

    def ask(self, method: str, path: str, body: dict | None = None):
        return self._ask(method, f"/session/{self._session}{path}", body)

    def run(self, script: str):
        """The value of a script's ``return``."""
        return self.ask("POST", "/execute/sync", {"script": script, "args": []})

    def wait(self, script: str) -> None:
        end = time.monotonic() + 20
        while not self.run(f"return Boolean({script})"):
            assert time.monotonic() < end, script
            time.sleep(0.05)

    def middle(self, element: str) -> np.ndarray:
        """``(10, 10, 3)`` uint8: what the page shows in the middle of an element."""
        place = f"const at = document.getElementById('{element}').getBoundingClientRect();"
        x, y = self.run(f"{place} return [Math.round(at.x + at.width / 2), Math.round(at.y + at.height / 2)]")
        page = Image.open(io.BytesIO(base64.b64decode(self.ask("GET", "/screenshot")))).convert("RGB")
        return np.asarray(page)[y - 5 : y + 5, x - 5 : x + 5]

    def click(self, selector: str, number: int = 0) -> None:
        found = self.ask("POST", "/elements", {"using": "css selector", "value": selector})
        element = next(iter(found[number].values()))
        self.ask("POST", f"/element/{element}/click", {})

    def press(self, *keys: str) -> None:
        actions = [{"type": "keyDown", "value": key} for key in keys]
        actions += [{"type": "keyUp", "value": key} for key in reversed(keys)]
        self.ask("POST", "/actions", {"actions": [{"type": "key", "id": "keys", "actions": actions}]})


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    if not (BROWSER and DRIVER):
        pytest.skip("needs chromium and chromedriver")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    driver = subprocess.Popen([DRIVER, f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 20
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert time.monotonic() < end
            time.sleep(0.05)
        browser = Browser(f"http://127.0.0.1:{port}", tmp_path / "profile")
        yield browser
        browser.ask("DELETE", "")
    finally:
        driver.terminate()
        driver.wait()


@pytest.fixture(scope="module")
def prediction(classifier, tmp_path_factory) -> VideoPrediction:
    folder = tmp_path_factory.mktemp("movie")
    movie = write_pieces(folder / "a </script> 'movie' 100%.mp4", [(0, 60), (2, 60), (1, 60)], sound=True)
    return classifier.classify(movie, ClassifySpec(stride=1, smoothing=Smoothing("centred", 5), min_duration=1))


def test_clicks_and_keys(prediction, tmp_path, browser):
    (tmp_path / "pages").mkdir()
    page = tmp_path / "pages" / "player.html"
    render_video(prediction, tmp_path / "out #1.mp4")
    write_player(prediction, tmp_path / "out #1.mp4", page)
    browser.ask("POST", "/url", {"url": page.as_uri()})
    browser.wait("document.getElementById('video').readyState >= 2")
    assert browser.middle("video").max() > 100  # the first frame is to be seen before anybody plays it
    assert browser.run("return document.querySelectorAll('#segments button').length") == 3
    now = "return document.getElementById('video').currentTime"

    # A click on a segment moves the video to its first frame.
    third = prediction.segments[2]
    browser.click("#segments button", 2)
    browser.wait("!document.getElementById('video').seeking")
    assert third.start <= browser.run(now) < third.start + 0.1
    assert browser.run("return document.querySelectorAll('#segments button')[2].getAttribute('aria-current')") == "true"
    best = browser.run("return document.querySelector('#now .best').textContent")
    assert best.startswith(third.label)

    # An arrow key moves it by one frame, with Shift by a second.
    frame = f"return Math.floor({now.removeprefix('return ')} * 10 + 1e-3)"
    before = browser.run(frame)
    for key, moved in (("\ue014", 1), ("\ue014", 2), ("\ue012", 1)):
        browser.press(key)
        assert browser.run(frame) == before + moved
    browser.press("\ue008", "\ue012")
    assert browser.run(frame) == before + 1 - 10

    # A click in the middle of the timeline goes to the middle of the video.
    browser.click("#timeline")
    assert browser.run(now) == pytest.approx(prediction.info.duration / 2, abs=0.15)
    assert browser.run("return document.querySelectorAll('#segments button')[1].getAttribute('aria-current')") == "true"

    # The timeline is coloured as the segments are.
    pixel = "return [...document.getElementById('timeline').getContext('2d').getImageData({}, 5, 1, 1).data]"
    width = browser.run("return document.getElementById('timeline').width")
    colours = [browser.run(pixel.format(int(width * place)))[:3] for place in (0.1, 0.4, 0.9)]
    assert colours == [[230, 159, 0], [0, 158, 115], [86, 180, 233]]

    # It plays.
    browser.press(" ")
    start = browser.run(now)
    browser.wait(f"{now.removeprefix('return ')} > {start} + 0.2")
    assert browser.run("return document.getElementById('trouble').hidden") is True


@pytest.mark.slow
def test_uneven_frames_step_one_by_one(classifier, tmp_path, browser):
    movie = write_video(tmp_path / "a.mp4", "h264_vfr_mp4", frames=40)
    prediction = classifier.classify(movie)
    write_player(prediction, movie, tmp_path / "p.html")
    browser.ask("POST", "/url", {"url": (tmp_path / "p.html").as_uri()})
    browser.wait("document.getElementById('video').readyState >= 2")
    times = uneven_times(40)
    for number in range(1, 12):
        browser.press("\ue014")
        now = browser.run("return document.getElementById('video').currentTime")
        assert times[number] <= now < times[number + 1]


@pytest.mark.slow
def test_a_missing_video_is_told(prediction, tmp_path, browser):
    write_player(prediction, tmp_path / "gone.mp4", tmp_path / "p.html")
    browser.ask("POST", "/url", {"url": (tmp_path / "p.html").as_uri()})
    browser.wait("!document.getElementById('trouble').hidden")


def test_the_page_is_one_file_and_holds_no_foreign_markup(prediction, tmp_path):
    write_player(prediction, prediction.video, tmp_path / "p.html")
    text = (tmp_path / "p.html").read_text()
    assert text.count("</script>") == 2
    assert "http" not in text.replace('http-equiv="', "")
    assert set(re.findall(r'(?:src|href)="([^"]*)"', text)) == {link_from(tmp_path, prediction.video)}


def test_the_curves_of_a_long_video_stay_small(prediction):
    data = page_data(prediction)
    assert len(data["curves"]["times"]) == 180
    long = VideoPrediction(
        prediction.video,
        prediction.classes,
        prediction.info,
        prediction.grid,
        np.arange(200_000) / 25,
        prediction.windows,
        np.full((200_000, 3), 1 / 3, np.float32),
        np.zeros(200_000, int),
        prediction.segments,
    )
    data = page_data(long)
    assert len(data["curves"]["times"]) <= 1500
    assert len(json.dumps(data)) < 100_000
    assert data["times"] is None


def test_which_video_is_played():
    assert choose_video(Path("in.avi"), "mpeg4", Path("out.mp4")) == Path("out.mp4")
    assert choose_video(Path("in.mp4"), "h264", Path("out.avi")) == Path("in.mp4")
    assert choose_video(Path("in.webm"), "vp9", None) == Path("in.webm")
    with pytest.raises(UserError, match=r"browsers play neither in.avi \(mpeg4\) nor out.avi; add `output=NAME.mp4`"):
        choose_video(Path("in.avi"), "mpeg4", Path("out.avi"))
