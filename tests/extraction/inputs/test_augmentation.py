"""Augmentation: one draw for a whole sequence, the promised amounts, and nothing where nothing is asked for."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.extraction.inputs.augment_layer import AugmentFrames, augmenter, vary
from pipeline.extraction.inputs.augmentation import NUMBERS, FrameAugmentation, numbers_for

ALL = "flip,rotate:10,zoom:0.2,shift:0.1,shear:0.1,colour:0.2"


@pytest.fixture(scope="module")
def frames():
    """Four rows of five times the same image, smooth so that interpolation changes little."""
    random = np.random.default_rng(0)
    small = random.integers(0, 256, (4, 1, 4, 5, 3), np.uint8)
    return np.tile(small.repeat(8, axis=2).repeat(8, axis=3), (1, 5, 1, 1, 1))


def numbers(**chosen: float) -> np.ndarray:
    """The middle of everything but what is named, from 0 to 1."""
    names = ("flip", "turn", "zoom", "across", "down", "slant", "bright", "contrast", "colour")
    assert len(names) == NUMBERS
    return np.array([[chosen.get(name, 0.5) for name in names]], np.float32)


def varied(frames: np.ndarray, text: str, **chosen: float) -> np.ndarray:
    return np.asarray(vary(frames, numbers(**chosen), FrameAugmentation.parse(text)))


def test_text_and_back():
    spec = FrameAugmentation.parse("jitter:1, rotate:10,flip,zoom:0.20")
    assert str(spec) == "flip,rotate:10,zoom:0.2,jitter:1"
    assert FrameAugmentation.parse(str(spec)) == spec
    assert not FrameAugmentation.parse("")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("blur:2", "'blur:2' is unknown; expected flip,rotate"),
        ("rotate", "'rotate': expected a number above 0, up to 180"),
        ("zoom:1.5", "'zoom:1.5': expected a number above 0, up to 0.9"),
        ("jitter:0.5", "'jitter:0.5': expected a whole number"),
    ],
)
def test_what_is_not_understood_is_one_line(text, line):
    with pytest.raises(UserError, match=line):
        FrameAugmentation.parse(text)


def test_all_frames_of_a_sequence_are_varied_alike_and_sequences_differ(frames):
    layer = AugmentFrames(FrameAugmentation.parse(ALL), seed=1)
    mask = np.ones(frames.shape[:2], bool)
    once, again = (np.asarray(layer(frames, mask)) for _ in range(2))
    assert once.dtype == np.uint8
    assert once.shape == frames.shape
    for row in once:
        np.testing.assert_array_equal(row, np.broadcast_to(row[0], row.shape))
    same = np.tile(frames[:1], (4, 1, 1, 1, 1))
    drawn = np.asarray(layer(same, mask))
    assert all(np.abs(drawn[0].astype(int) - drawn[row]).mean() > 1 for row in (1, 2, 3))
    assert not np.array_equal(once, again)


def test_flip_is_a_mirror(frames):
    np.testing.assert_array_equal(varied(frames[:1], "flip", flip=0.9), frames[:1, :, :, ::-1])
    np.testing.assert_array_equal(varied(frames[:1], "flip", flip=0.1), frames[:1])


def test_shift_moves_by_the_share_of_the_side(frames):
    moved = varied(frames[:1], "shift:0.25", across=1.0)
    np.testing.assert_array_equal(moved[:, :, :, :30], frames[:1, :, :, 10:])


def test_a_quarter_turn(frames):
    square = frames[:1, :, :32, :32]
    np.testing.assert_allclose(varied(square, "rotate:90", turn=1.0), np.rot90(square, axes=(2, 3)), atol=1)


def test_zoom_keeps_the_centre_and_enlarges(frames):
    picture = np.zeros((1, 1, 41, 41, 3), np.uint8)
    picture[:, :, 15:26, 15:26] = 255
    larger = varied(picture, "zoom:0.5", zoom=1.0)[0, 0, :, :, 0] > 127
    assert larger[20].sum() == pytest.approx(11 * 1.5, abs=1)
    assert larger[20, ::-1].tolist() == larger[20].tolist()


def test_colour_changes_light_but_not_place(frames):
    brighter = varied(frames[:1], "colour:0.1", bright=1.0).astype(int) - frames[:1]
    assert set(np.unique(brighter[frames[:1] < 200])) <= {25, 26}
    grey = varied(frames[:1], "colour:1", colour=0.0)
    np.testing.assert_allclose(np.ptp(grey.astype(int), axis=-1), 0, atol=1)


def test_jitter_takes_neighbours_and_leaves_padding():
    frames = np.arange(7, dtype=np.uint8)[None, :, None, None, None] * np.ones((16, 1, 2, 2, 3), np.uint8)
    mask = np.arange(7) < np.array([5] * 8 + [7] * 8)[:, None]
    steps = np.asarray(AugmentFrames(FrameAugmentation(jitter=1))(frames, mask))[:, :, 0, 0, 0].astype(int)
    assert np.abs(steps - np.arange(7))[mask].max() == 1
    assert steps[:8, :5].max() <= 4
    np.testing.assert_array_equal(steps[:8, 5:], [[5, 6]] * 8)


def test_a_copy_is_the_same_however_its_frames_arrive(frames):
    spec = FrameAugmentation.parse(ALL)
    whole = augmenter(spec, numbers_for("a.mp4", 1))(frames[:, 0])
    parts = [augmenter(spec, numbers_for("a.mp4", 1))(part) for part in (frames[:1, 0], frames[1:, 0])]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert not np.array_equal(numbers_for("a.mp4", 1), numbers_for("a.mp4", 2))
    assert not np.array_equal(numbers_for("a.mp4", 1), numbers_for("b.mp4", 1))


def test_in_a_compiled_model(frames):
    from pipeline.training.compute.backend import compile_head

    pictures, mask = keras.Input((5, 32, 40, 3), dtype="uint8"), keras.Input((5,), dtype="bool")
    varied_pictures = AugmentFrames(FrameAugmentation.parse(ALL + ",jitter:1"), seed=1)(pictures, mask)
    sums = keras.ops.sum(keras.ops.cast(varied_pictures, "float32"), axis=(1, 2, 3, 4))
    function = compile_head(keras.Model([pictures, mask], sums[:, None]))
    once, again = (function(frames, np.ones((4, 5), bool)) for _ in range(2))
    assert not np.array_equal(once, again)
