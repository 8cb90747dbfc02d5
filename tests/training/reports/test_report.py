"""The report: one file, whole, safe with odd names, and readable in a browser."""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from pipeline.extraction.store.feature_source import FeatureSource
from pipeline.extraction.store.timesteps import LoadedSteps
from pipeline.training.data.splits import make_split
from pipeline.training.experiments.experiment import train
from pipeline.training.experiments.save import save_run
from pipeline.training.heads.registry import head_spec
from pipeline.training.loop.spec import TrainSpec
from pipeline.training.reports import report
from pipeline.videos.catalog.splits import groups_of


@pytest.fixture(scope="module")
def run(data):
    data = replace(data, classes=("jump", "<script>alert(1)</script>", "walk & run"))
    groups, _ = groups_of(data.videos, r"g\d")
    return train(
        data,
        make_split(data, groups),
        head=head_spec("mean"),
        groups=groups,
        spec=TrainSpec(epochs=2, members=2),
        command="python scripts/train.py features/drawn --out checkpoints/drawn",
    )


@pytest.fixture(scope="module")
def page(run, tmp_path_factory):
    return save_run(run, tmp_path_factory.mktemp("report") / "drawn").folder / "report.html"


class Tags(HTMLParser):
    """Collects tags with addresses, and whether every tag is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.addresses: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "img", "br", "link"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.names.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_it_is_one_file_that_fetches_nothing(page):
    text = page.read_text()
    tags = Tags()
    tags.feed(text)
    assert not tags.open
    assert not {"script", "link", "iframe"} & set(tags.names)
    assert all(address.startswith(("data:", "#")) for address in tags.addresses)
    assert not re.search(r"url\((?!#)", text)
    assert tags.names.count("svg") == 4


def test_names_are_text_and_the_contents_are_there(page):
    text = page.read_text()
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)" in text
    for part in ("walk &amp; run", "Confusion matrix", "Most confident mistakes", "Leaks and notes", "Repeat it"):
        assert part in text
    assert "python scripts/train.py features/drawn" in text


def rendered(run, **changed):
    """The page of a run some of whose results are others."""
    curves = [(member.schedule.history, member.schedule.best_epoch) for member in run.trained.members]
    counts = np.eye(3, dtype=np.int64)
    return report.render_report(run.results | changed, curves, counts, run.data, title="drawn", versions={})


def test_the_head_stands_beside_simple_rules_and_remarks_are_sentences(run):
    text = rendered(run, remarks=["time is not used: <b>"])
    assert "Time is not used: &lt;b&gt;." in text
    rows = dict(re.findall(r'<td class="name">([^<]*)</td>(.*)</tr>', text))
    simple, order = run.results["baseline"], run.results["order_test"]
    for name, accuracies in (
        ("this head", run.results["accuracy"]),
        ("logistic regression on the mean features", simple["linear"]),
        ("always the most frequent class", simple["majority"]),
    ):
        assert rows[name] == "".join(f"<td>{accuracies[part]:.3f}</td>" for part in ("val", "test"))
    assert rows["this head, steps shuffled"] == f"<td></td><td>{order['shuffled']:.3f}</td>"
    assert rows["this head, first step alone"] == f"<td></td><td>{order['first']:.3f}</td>"


def test_no_leak_is_green_only_where_no_pair_is_near(run):
    clean = {"groups": [], "pairs": [], "threshold": 0.98, "closest": None}
    assert '<p class="good">No group crosses' in rendered(run, leaks=clean)
    assert "nearly the same (cosine of 0.98 or more)." in rendered(run, leaks=clean)
    near = {"split": "test", "video": "b.mp4", "other_split": "train", "other": "a.mp4", "cosine": 0.983}
    text = rendered(run, leaks=clean | {"threshold": 0.9999, "closest": near})
    assert '<p class="good">' not in text
    assert "cosine of 0.9999 or more" in text
    assert "b.mp4 (test) and a.mp4 (train) are near it, at 0.9830" in text


@pytest.mark.parametrize(
    ("recipe", "source", "said"),
    [
        ({"weights_digest": "0123456789abcdef"}, "random:0", "random:0 (0123456789ab…)"),
        ({"weights_digest": ""}, "", "not known"),
        ({"weights_digest": "", "layer": "pixels"}, "", "none: the store holds frames, and no network computed"),
    ],
)
def test_it_says_of_what_weights_the_features_are(data, recipe, source, said):
    results = {"head": {}, "window": {"length": 3, "stride": 3, "policy": "pad"}, "training": {"augmentation": {}}}
    data = replace(data, sources=(FeatureSource(replace(data.recipe, **recipe), source),))
    assert ("weights", said) in report._facts(results, data, {})


def test_pictures_of_a_store_stand_in_for_videos_that_are_gone(data):
    examples = [{"video": data.videos[3].name}]
    assert report._thumbnails(examples, data)[0]["image"] == ""  # of features there is nothing to show
    pictures = np.zeros((len(data.features), 16, 16, 3), np.uint8)
    pictures[data.offsets[3] + data.steps[3] // 2] = (200, 10, 90)
    of_pixels = FeatureSource(replace(data.recipe, layer="pixels"), "")
    frames = replace(data, features=LoadedSteps(pictures), sources=(of_pixels,))
    address = report._thumbnails(examples, frames)[0]["image"]
    shown = cv2.imdecode(np.frombuffer(base64.b64decode(address.split(",")[1]), np.uint8), cv2.IMREAD_COLOR_RGB)
    assert np.abs(shown.astype(int) - (200, 10, 90)).max() <= 4


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
@pytest.mark.parametrize(("width", "dark"), [(390, False), (390, True), (1200, False), (1200, True)])
def test_it_is_drawn_light_and_dark_on_phone_and_desk(page, tmp_path, width, dark):
    picture = tmp_path / "page.png"
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
    flags += ["--no-first-run", "--hide-scrollbars", f"--user-data-dir={tmp_path / 'profile'}"]
    flags += ["--blink-settings=preferredColorScheme=0"] if dark else []
    flags += [f"--window-size={width},2000", f"--screenshot={picture}", page.as_uri()]
    subprocess.run(["chromium", *flags], check=True, capture_output=True, timeout=120)
    image = cv2.imread(str(picture))
    assert image.shape[1] == width
    background = image[0, 0].mean()
    assert (background < 60) == dark
    # Ink of the opposite shade is on the page, and none touches the right edge (nothing is cut off there).
    assert np.abs(image.mean(axis=2) - background).max() > 150
    assert np.abs(image[:, -3:].astype(float) - image[0, 0]).max() < 8
