from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import LeaveOneGroupOut, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pipeline.cli import command
from pipeline.commands.extraction import extract_features
from pipeline.errors import UserError
from pipeline.extraction.inputs.motion import BOUND, InputMaker, motion_between, with_neighbours
from pipeline.extraction.network.backbone import Backbone
from pipeline.extraction.network.weights import WeightsSource
from pipeline.extraction.recipe import FRAME_CACHE, PIXELS, Recipe
from pipeline.extraction.store.store import FeatureStore
from pipeline.videos.media import open_video
from tests.media import write_video

RECIPE = Recipe("uniform:6", "tiny", "0" * 64, 32, 32, crop="none")
CLOTH = cv2.resize(np.random.default_rng(0).integers(0, 255, (16, 32, 3), np.uint8), (256, 128))


def shifted(right: int, down: int) -> np.ndarray:
    return np.ascontiguousarray(CLOTH[16 - down : 112 - down, 32 - right : 192 - right])


@pytest.mark.parametrize("kind", ["farneback", "dis"])
@pytest.mark.parametrize(("right", "down"), [(3, 0), (-3, 0), (0, 2), (2, -2)])
def test_flow_tells_direction_and_speed(kind, right, down):
    picture = motion_between(kind)(shifted(0, 0), shifted(right, down))
    assert (picture.shape, picture.dtype) == ((96, 160, 3), np.uint8)
    most = BOUND * 160  # pixels
    expected = [128 + 127 * right / most, 128 + 127 * down / most, 255 * np.hypot(right, down) / most]
    np.testing.assert_allclose(np.median(picture, axis=(0, 1)), expected, atol=8)


@pytest.mark.parametrize("kind", ["farneback", "dis"])
def test_fast_motion_is_clipped_and_keeps_its_direction(kind, monkeypatch):
    monkeypatch.setattr("pipeline.extraction.inputs.motion.BOUND", 0.01)  # 1.6 pixels
    picture = motion_between(kind)(shifted(0, 0), shifted(3, 3))
    np.testing.assert_allclose(np.median(picture, axis=(0, 1)), [128 + 90, 128 + 90, 255], atol=4)


@pytest.mark.parametrize("kind", ["farneback", "dis", "difference"])
@pytest.mark.parametrize("size", [(32, 48), (96, 160), (200, 400)])
def test_nothing_moves_in_two_equal_pictures(kind, size):
    still = cv2.resize(CLOTH, size[::-1])
    picture = motion_between(kind)(still, still)
    assert picture.shape == (*size, 3)
    expected = [0, 0, 0] if kind == "difference" else [128, 128, 0]
    assert np.mean(np.abs(picture - np.array(expected)) <= 1) > 0.99  # Farneback stirs a little at the borders


@pytest.mark.parametrize("kind", ["farneback", "dis"])
@pytest.mark.parametrize("size", [(16, 16), (16, 900), (900, 16)])
def test_the_smallest_pictures_that_have_a_flow(kind, size):
    small = cv2.resize(CLOTH, size[::-1])
    assert motion_between(kind)(small, small[::-1].copy()).shape == (*size, 3)


def test_smaller_pictures_have_none():
    with pytest.raises(UserError, match="size 15x40 is too small for input dis: each side needs at least 16 pixels"):
        replace(RECIPE, height=15, width=40, input="dis")
    assert replace(RECIPE, height=8, width=8, input="difference").input == "difference"


def test_difference_is_the_change_of_each_colour():
    before, after = np.full((2, 2, 3), 10, np.uint8), np.full((2, 2, 3), [5, 10, 210], np.uint8)
    assert motion_between("difference")(before, after)[0, 0].tolist() == [5, 0, 200]


def test_neighbours():
    assert with_neighbours(np.array([0]), 1).tolist() == [0]
    assert with_neighbours(np.array([0, 10, 11]), 20).tolist() == [0, 1, 9, 10, 11]
    assert with_neighbours(np.arange(5), 5).tolist() == list(range(5))


def test_motion_does_not_depend_on_the_sampling(tmp_path):
    """The motion at a frame is the same whether its neighbours are wanted or not; the first has the second's."""
    maker = InputMaker(replace(RECIPE, input="farneback"))
    with open_video(write_video(tmp_path / "a.mp4", frames=40)) as reader:
        dense = {frame.index: frame for frame in maker.frames(reader, range(40))}
        sparse = list(maker.frames(reader, [0, 1, 13, 14, 30]))
    assert [frame.index for frame in sparse] == [0, 1, 13, 14, 30]
    for frame in sparse:
        np.testing.assert_array_equal(frame.image, dense[frame.index].image)
        assert frame.time == dense[frame.index].time
    np.testing.assert_array_equal(dense[0].image, dense[1].image)
    assert np.ptp(dense[13].image[..., 0]) > 20  # the ramp drifts


def test_a_video_of_one_frame_stands_still(tmp_path):
    with open_video(write_video(tmp_path / "a.mp4", frames=1)) as reader:
        (frame,) = InputMaker(replace(RECIPE, input="dis")).frames(reader, [0])
    assert frame.image[0, 0].tolist() == [128, 128, 0]


def test_old_recipes_keep_their_fingerprints():
    assert "input" not in RECIPE.to_dict()
    assert RECIPE.fingerprint == "dd1448174c6339d0cf9f20f4b7002fd87c79129f20a36d1b2f609fcb0ffc3d37"
    flow = replace(RECIPE, input="dis")
    assert flow.fingerprint != RECIPE.fingerprint
    assert Recipe.from_json(flow.canonical) == flow
    assert flow.differences(RECIPE) == "input dis, not rgb"
    with pytest.raises(UserError, match="input 'sound' is unknown; expected rgb, grey, farneback, dis, difference"):
        replace(RECIPE, input="sound")


# -- directions ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def directions(tmp_path_factory):
    """Squares that move to the right, and each of those videos played backwards."""
    folder = tmp_path_factory.mktemp("directions")
    for pair in range(6):
        rng = np.random.default_rng(pair)
        row, column, speed = rng.integers(4, 36), rng.integers(0, 20), rng.uniform(1.5, 3)

        def draw(number: int, *, width: int, height: int, row=row, column=column, speed=speed) -> np.ndarray:
            image = np.full((height, width, 3), 60, np.uint8)
            left = column + round(speed * number)
            image[row : row + 24, left : left + 24] = cv2.resize(CLOTH[:16, :16], (24, 24))
            return image

        def backwards(number: int, draw=draw, **size: int) -> np.ndarray:
            return draw(11 - number, **size)

        for label, of in (("right", draw), ("left", backwards)):
            write_video(folder / f"{label}/{pair}.avi", "mjpeg_avi", frames=12, size=(96, 64), draw=of)
    return folder


@pytest.mark.parametrize(("seen", "told"), [("rgb", False), ("farneback", True), ("dis", True)])
def test_directions_are_told_apart_by_flow_and_not_by_colours(directions, extract, tmp_path, seen, told):
    """A square that moves left is the reverse of one that moves right: the mean over time of RGB features is equal."""
    recipe = replace(RECIPE, sampling="all", input=seen)
    network = Backbone("tiny", weights=WeightsSource("random"), size=(32, 32), batch=16)
    extract(directions, recipe=recipe, network=network, dtype="float32")
    store = FeatureStore(tmp_path / "store")
    videos = list(store.catalog)
    means = np.stack([store.read(video.name).features.mean(axis=0) for video in videos])
    classifier = make_pipeline(StandardScaler(), LogisticRegression())
    groups = [video.path.stem for video in videos]
    labels = [video.label for video in videos]
    scores = cross_val_score(classifier, means, labels, groups=groups, cv=LeaveOneGroupOut())
    assert np.mean(scores) == 1.0 if told else np.mean(scores) <= 0.6


def test_flow_is_kept_as_images(directions, tmp_path, capsys):
    def call(*arguments):
        return command.run(
            extract_features.main,
            [str(directions), "--out", str(tmp_path / "s"), *arguments],
            parser=extract_features.parser,
        )

    assert call("--backbone", "flow", "--input", "rgb") == 2
    assert "--backbone flow keeps motion, not --input rgb" in capsys.readouterr().err
    assert call("--backbone", "tiny", "--input", "dis", "--augment", "2") == 2
    assert "the motion of input dis would keep its direction" in capsys.readouterr().err
    assert call("--backbone", "flow", "--size", "24", "--sampling", "uniform:3") == 0
    store = FeatureStore(tmp_path / "s")
    assert store.recipe == Recipe("uniform:3", FRAME_CACHE, "", 24, 24, layer=PIXELS, input="farneback")
    red = {video.label: store.read(video.name).features[..., 0].astype(int) for video in store.catalog}
    assert red["right"].max() - 128 > 30
    assert 128 - red["right"].min() < 20
    assert 128 - red["left"].min() > 30
    assert call("--backbone", "frames", "--input", "dis", "--size", "24", "--sampling", "uniform:3") == 2
    assert "holds features of another recipe: input dis, not farneback" in capsys.readouterr().err
