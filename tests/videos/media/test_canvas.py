"""Painting into planes gives the image that painting into RGB gives."""

from __future__ import annotations

import av
import numpy as np
import pytest

from pipeline.videos.media.canvas import BT601, BT709, FULL, LIMITED, CanvasMaker, Patch, paint

SIZES = [(64, 48), (63, 47), (2, 2), (3, 50)]


def smooth_picture(width: int, height: int) -> np.ndarray:
    """``(height, width, 3)`` uint8 without sharp edges, so that planes of half the size lose nothing."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([60 + rows * 2, 200 - columns, 90 + rows + columns], axis=-1).clip(0, 255).astype(np.uint8)


def coded(image: np.ndarray, pixels: str, matrix: int, span: int) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(image, format="rgb24")
    names = {BT601: "ITU601", BT709: "ITU709"}
    frame = frame.reformat(format=pixels, dst_colorspace=names[matrix], dst_color_range=span)
    frame.colorspace, frame.color_range = matrix, span
    return frame


def seen(frame: av.VideoFrame) -> np.ndarray:
    return frame.to_ndarray(format="rgb24").astype(int)


def panel(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A share of 89 everywhere, and a field of orange."""
    keep, colour = np.full((height, width), 89, np.uint8), np.zeros((height, width, 3), np.uint8)
    keep[4:12, 6:20], colour[4:12, 6:20] = 0, (230, 159, 0)
    return keep, colour


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("pixels", ["yuv420p", "yuv444p"])
@pytest.mark.parametrize(("matrix", "span"), [(BT601, LIMITED), (BT709, LIMITED), (BT709, FULL)])
@pytest.mark.parametrize("place", [(0, 0), (4, 6), (5, 7), (40, 60), (200, 0), (0, 200)])
def test_painted_as_in_rgb(size, pixels, matrix, span, place):
    image = smooth_picture(*size)
    canvas = CanvasMaker(size, pixels, tagged=True)(coded(image, pixels, matrix, span))
    patch = Patch(*place, *panel(24, 30))
    before = seen(canvas.frame)
    canvas.paint(patch)
    wanted = before.astype(np.uint8)
    paint(wanted, patch)
    error = np.abs(seen(canvas.frame) - wanted)
    # On an edge one value of colour stands for pixels of both sides; elsewhere it is rounding.
    assert np.percentile(error, 80) <= 4
    untouched = np.ones(image.shape[:2], bool)
    # To show an odd side FFmpeg spreads each value of colour over its neighbours too.
    near = 1 + 2 * (size[0] % 2)
    untouched[max(0, place[0] - near) : place[0] + 24 + near, max(0, place[1] - near) : place[1] + 30 + near] = False
    assert not error[untouched].any()
    field = seen(canvas.frame)[place[0] + 6 : place[0] + 10, place[1] + 8 : place[1] + 18]
    if field.size == 4 * 10 * 3:
        np.testing.assert_allclose(field, np.broadcast_to([230, 159, 0], field.shape), atol=4)


def test_the_decoded_frame_stays_as_it_was():
    """The decoder still needs it for the frames that follow."""
    frame = coded(smooth_picture(64, 48), "yuv420p", BT601, LIMITED)
    before = seen(frame)
    CanvasMaker((64, 48), "yuv420p", tagged=True)(frame).paint(Patch(0, 0, *panel(24, 30)))
    assert np.array_equal(seen(frame), before)


@pytest.mark.parametrize(
    ("pixels", "tagged", "height", "matrix", "span", "becomes"),
    [
        ("yuv420p", True, 48, BT709, LIMITED, (BT709, LIMITED)),
        ("yuv420p", True, 48, BT709, FULL, (BT709, FULL)),
        ("yuv420p", False, 48, BT709, LIMITED, (BT601, LIMITED)),  # players take a small image for BT.601 ...
        ("yuv420p", False, 720, BT709, LIMITED, (BT709, LIMITED)),  # ... and a large one for BT.709
        ("yuv420p", False, 48, BT601, FULL, (BT601, LIMITED)),
        ("yuvj420p", False, 48, BT709, LIMITED, (BT601, FULL)),
    ],
)
def test_colours_survive_whatever_the_file_can_say(pixels, tagged, height, matrix, span, becomes):
    image = smooth_picture(64, height)
    canvas = CanvasMaker((64, height), pixels, tagged=tagged)(coded(image, "yuv420p", matrix, span))
    assert (canvas.frame.colorspace, canvas.frame.color_range) == becomes
    assert canvas.frame.format.name == pixels
    assert np.abs(seen(canvas.frame) - image).mean() < 5


@pytest.mark.parametrize("source", ["rgb24", "bgra", "gbrp", "gray", "yuv422p10le"])
def test_other_pixel_formats_and_sizes(source):
    image = smooth_picture(64, 48)
    frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(32, 24, format=source)
    canvas = CanvasMaker((64, 48), "yuv420p", tagged=True)(frame)
    shown = seen(canvas.frame)
    expected = image.astype(int)
    if source == "gray":
        expected = np.repeat(image @ np.array([0.299, 0.587, 0.114]), 3).reshape(image.shape)
    assert np.abs(shown - expected).mean() < 5


def test_a_patch_is_converted_once():
    maker = CanvasMaker((64, 48), "yuv420p", tagged=True)
    frame, patch = coded(smooth_picture(64, 48), "yuv420p", BT601, LIMITED), Patch(0, 0, *panel(24, 30))
    first, second = maker(frame), maker(frame)
    first.paint(patch)
    made = first.known[patch]
    second.paint(patch)
    assert second.known[patch] is made
    del patch
    assert not len(first.known)
