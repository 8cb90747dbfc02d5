"""The page, in a real browser: a click moves the video, arrow keys step by a frame."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.files.system import link_from
from pipeline.inference.classify_spec import ClassifySpec
from pipeline.inference.drawing.render import render_video
from pipeline.inference.outputs.player import choose_video, page_data, write_player
from pipeline.inference.timeline.prediction import VideoPrediction
from pipeline.inference.timeline.smoothing import Smoothing
from tests.inference.conftest import write_pieces
from tests.media import uneven_times, write_video


@pytest.fixture(scope="module")
def prediction(classifier, tmp_path_factory) -> VideoPrediction:
    folder = tmp_path_factory.mktemp("movie")
    movie = write_pieces(folder / "a </script> 'movie' 100%.mp4", [(0, 60), (2, 60), (1, 60)], sound=True)
    return classifier.classify(movie, ClassifySpec(stride=1, smoothing=Smoothing("centred", 5), min_duration=1))


@pytest.mark.slow
def test_clicks_and_keys(prediction, tmp_path, browser):
    (tmp_path / "pages").mkdir()
    page = tmp_path / "pages" / "player.html"
    render_video(prediction, tmp_path / "out #1.mp4")
    write_player(prediction, tmp_path / "out #1.mp4", page)
    browser.open(page)
    browser.wait("document.getElementById('video').readyState >= 2")
    assert browser.middle("video").max() > 100  # the first frame is to be seen before anybody plays it
    listed = browser.run("return [...document.querySelectorAll('#segments .time')].map(item => item.textContent)")
    assert listed == [f"00:{item.start:04.1f} - 00:{item.end:04.1f}" for item in prediction.segments]
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
    browser.open(tmp_path / "p.html")
    browser.wait("document.getElementById('video').readyState >= 2")
    times = uneven_times(40)
    for number in range(1, 12):
        browser.press("\ue014")
        now = browser.run("return document.getElementById('video').currentTime")
        assert times[number] <= now < times[number + 1]


@pytest.mark.slow
def test_a_missing_video_is_told(prediction, tmp_path, browser):
    write_player(prediction, tmp_path / "gone.mp4", tmp_path / "p.html")
    browser.open(tmp_path / "p.html")
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
