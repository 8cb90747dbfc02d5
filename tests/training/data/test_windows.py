"""Windows: arithmetic by property, and what is real in each."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import UserError
from pipeline.training.data.windows import (
    MOST_STEPS,
    WindowSpec,
    cut,
    default_window,
    some_pixels,
    window_for_frames,
    window_in_seconds,
)
from pipeline.videos.media.sampling import Sampling

counts = st.integers(1, 200)
lengths = st.integers(1, 40)


@given(counts, lengths, lengths, st.sampled_from(["pad", "drop"]))
def test_starts_rise_by_the_stride_and_begin_inside_the_sequence(steps, length, stride, policy):
    starts = WindowSpec(length, stride, policy).starts(steps)
    assert starts[0] == 0
    assert (np.diff(starts) == stride).all()
    assert starts[-1] < steps


@given(counts, lengths, st.data())
def test_padding_covers_every_step_and_dropping_gives_whole_windows(steps, length, data):
    stride = data.draw(st.integers(1, length))
    padded = WindowSpec(length, stride, "pad").starts(steps)
    covered = {step for start in padded for step in range(start, start + length)}
    assert set(range(steps)) <= covered
    dropped = WindowSpec(length, stride, "drop").starts(steps)
    if steps >= length:
        assert dropped[-1] + length <= steps < dropped[-1] + length + stride
    else:
        assert list(dropped) == [0]


@pytest.mark.parametrize(
    ("steps", "window", "starts"),
    [
        (8, (4, 2, "pad"), [0, 2, 4]),  # the last step is in a window: there is no further one
        (9, (4, 2, "pad"), [0, 2, 4, 6]),
        (9, (4, 4, "pad"), [0, 4, 8]),
        (9, (4, 4, "drop"), [0, 4]),
        (4, (4, 4, "pad"), [0]),
        (5, (2, 9, "pad"), [0]),  # the stride leads beyond the end
        (9, (2, 8, "pad"), [0, 8]),
        (1, (1, 1, "drop"), [0]),
    ],
)
def test_these_are_the_windows(steps, window, starts):
    assert WindowSpec(*window).starts(steps).tolist() == starts


def test_no_steps_give_no_windows():
    assert len(WindowSpec(4).starts(0)) == 0


def test_cut_keeps_what_is_real_and_pads_with_zeros_on_the_right():
    features = np.arange(1, 11, dtype=np.float16).reshape(5, 2)
    windows, mask = cut(features, np.array([0, 3]), 3)
    assert windows.dtype == np.float16
    np.testing.assert_array_equal(windows[0], features[:3])
    np.testing.assert_array_equal(windows[1], [[7, 8], [9, 10], [0, 0]])
    np.testing.assert_array_equal(mask, [[True, True, True], [True, True, False]])


def test_default_is_the_whole_sequence_by_count_and_while_short():
    assert default_window([20, 12], by_count=True) == WindowSpec(20)
    assert default_window([30, 64, 2], by_count=False) == WindowSpec(64)
    long = default_window([100, 3000, 50], by_count=False)
    assert long == WindowSpec(64, 32)
    assert default_window([65, 9, 9], by_count=False) == WindowSpec(9, 4), "most sequences fill it"
    assert default_window([65, 3, 3], by_count=False) == WindowSpec(8, 4), "and it is no shorter"
    with pytest.raises(UserError, match="no sequences"):
        default_window([], by_count=True)


def test_windows_of_labelled_frames_are_short_and_overlap_by_half():
    assert window_for_frames([100, 3]) == WindowSpec(16, 8)
    assert window_for_frames([7, 3]) == WindowSpec(7, 3)
    assert window_for_frames([1]) == WindowSpec(1, 1)


def test_a_grid_of_pixels_stands_for_a_frame():
    frames = np.arange(2 * 3 * 33 * 16 * 3).reshape(2, 3, 33, 16, 3)
    kept = some_pixels(frames, (33, 16, 3))
    # Each third row, so that there are at most 16, and each column.
    assert kept.tolist() == frames[:, :, ::3].reshape(2, 3, 11 * 16 * 3).tolist()
    features = np.zeros((2, 3, 5))
    assert some_pixels(features, (5,)) is features


@pytest.mark.parametrize(("arguments", "part"), [((0,), "window of 0"), ((4, -1), "stride of -1"), ((4, 1, "x"), "x")])
def test_impossible_windows_are_refused_in_one_line(arguments, part):
    with pytest.raises(UserError, match=part) as error:
        WindowSpec(*arguments)
    assert "\n" not in str(error.value)


def test_windows_of_a_duration():
    apart = np.array([0.0, 0.1, np.nan, 0.0, 0.1, 0.0, 0.12])
    assert window_in_seconds(1.6, None, apart, Sampling.parse("fps:10")) == WindowSpec(16)
    assert window_in_seconds(1.6, 0.4, apart, Sampling.parse("all"), policy="drop") == WindowSpec(16, 4, "drop")
    assert window_in_seconds(0.01, 0.01, apart, Sampling.parse("fps:10")) == WindowSpec(1, 1)
    for seconds, stride, sampling, line in (
        (1.0, None, "uniform:8", "needs steps at a fixed distance, and uniform:8 has none"),
        (0.0, None, "fps:10", "`window_seconds=0`: expected seconds above 0"),
        (1.0, -1.0, "fps:10", "`stride_seconds=-1`: expected seconds above 0"),
        (None, 1.0, "fps:10", "`stride_seconds` needs `window_seconds`"),
    ):
        with pytest.raises(UserError, match=line):
            window_in_seconds(seconds, stride, apart, Sampling.parse(sampling))


def test_a_window_has_as_many_steps_as_a_head_can_go_through():
    assert WindowSpec(MOST_STEPS).length == MOST_STEPS
    with pytest.raises(UserError, match="a window of 10,001 steps is too long; expected at most 10,000"):
        WindowSpec(MOST_STEPS + 1)
