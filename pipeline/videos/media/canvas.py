"""Images as encoders take them, on which regions are painted without turning the whole into RGB and back.

A canvas is one plane of brightness and two of colour, mostly at half the width and height. Painting is a share of the
image that is kept and a colour that is added. The way from RGB to planes is linear, so that the colour added is
converted once for each patch and the image never. On a 720p frame this saves 3 of 7 ms of a core.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from pipeline.lazy import av, cv2, np
from pipeline.videos.media.frame import turn_of

LIMITED, FULL = 1, 2
"""Ranges: 16 to 235 for brightness, or 0 to 255."""
BT709, BT601 = 1, 5
_RGB = 0
_HD_HEIGHT = 720  # from here players take an image without a matrix of its own for BT.709
# How much red and blue count for brightness, by the number of the matrix (ITU-T H.273, table 4).
_WEIGHTS = {BT709: (0.2126, 0.0722), 7: (0.212, 0.087), 9: (0.2627, 0.0593), 10: (0.2627, 0.0593)}
_SD_WEIGHTS = (0.299, 0.114)
_SAME = {4: BT601, BT601: BT601, 6: BT601, BT709: BT709, 7: 7, 9: 9, 10: 9}  # matrices that give the same planes
_SWSCALE = {BT601: 5, BT709: 1, 7: 7, 9: 9}  # how the converter calls them
_PACKED = ("rgb", "bgr", "gbr", "argb", "abgr", "0rgb", "0bgr", "pal", "xyz")


@dataclass(frozen=True, eq=False)
class Patch:
    """What is painted on a region: ``image * keep / 255 + colour``."""

    top: int
    left: int
    keep: np.ndarray
    """``(h, w)`` uint8."""
    colour: np.ndarray
    """``(h, w, 3)`` uint8, RGB; at most ``255 - keep``."""


def paint(image: np.ndarray, patch: Patch) -> None:
    """Paint on ``(height, width, 3)`` uint8, RGB; what does not fit is cut off."""
    area = image[patch.top : patch.top + patch.keep.shape[0], patch.left : patch.left + patch.keep.shape[1]]
    keep, colour = patch.keep[: area.shape[0], : area.shape[1]], patch.colour[: area.shape[0], : area.shape[1]]
    area[:] = (area * keep[..., None].astype(np.uint16) + 127) // 255 + colour


@dataclass(frozen=True)
class _Kind:
    """What the planes of a canvas are: a patch is made ready once for each kind."""

    height: int
    width: int
    step: int
    """Pixels on a side that share one value of colour: 1 or 2."""
    matrix: int
    span: int


@dataclass(frozen=True)
class _PlanePatch:
    """A patch as one plane takes it."""

    area: tuple[slice, slice]
    keep: np.ndarray | None
    """``(h, w)`` uint8; None where nothing is kept."""
    added: np.ndarray
    """``(h, w)`` uint8."""

    def paint(self, plane: np.ndarray) -> None:
        area = plane[self.area]
        if self.keep is None:
            area[:] = self.added
        else:
            cv2.multiply(area, self.keep, dst=area, scale=1 / 255)
            cv2.add(area, self.added, dst=area)


_PlanePatches = tuple[_PlanePatch, ...]


@dataclass(frozen=True)
class Canvas:
    """One image to paint on and to encode."""

    frame: av.VideoFrame
    """Has the size and the pixel format of the encoder."""
    planes: tuple[np.ndarray, ...]
    """Views into it: brightness ``(height, width)``, and two of colour."""
    kind: _Kind
    known: WeakKeyDictionary[Patch, tuple[_Kind, _PlanePatches]]
    """What patches became in planes, for as long as somebody holds the patch."""

    def paint(self, patch: Patch) -> None:
        """Paint on a region; what does not fit is cut off."""
        kind, patches = self.known.get(patch, (None, ()))
        if kind != self.kind:
            patches = _plane_patches(patch, self.kind)
            self.known[patch] = self.kind, patches
        for plane, plane_patch in zip(self.planes, patches, strict=False):  # none where the patch is outside
            plane_patch.paint(plane)


def _plane_patches(patch: Patch, kind: _Kind) -> _PlanePatches:
    """One for each plane; none of a patch outside the image."""
    rows, columns = min(patch.keep.shape[0], kind.height - patch.top), min(patch.keep.shape[1], kind.width - patch.left)
    if rows < 1 or columns < 1:
        return ()
    keep, colour = patch.keep[:rows, :columns], patch.colour[:rows, :columns]
    # What is black, or without colour, is not 0 in the planes: it is added as far as the image is not kept.
    added = cv2.transform(np.dstack([colour, 255 - keep]).astype(np.float32), _matrix(kind.matrix, kind.span))
    bright = _plane_patch(patch.top, patch.left, keep, added[..., 0])
    step = kind.step
    top, left = patch.top % step, patch.left % step
    # Values of colour that the patch covers in part keep the rest of what they were.
    border = (top, -(rows + top) % step, left, -(columns + left) % step)
    keep = cv2.copyMakeBorder(keep, *border, cv2.BORDER_CONSTANT, value=[255])
    added = cv2.copyMakeBorder(added, *border, cv2.BORDER_CONSTANT, value=[0, 0, 0])
    if step > 1:
        half = (keep.shape[1] // step, keep.shape[0] // step)
        keep, added = (cv2.resize(part, half, interpolation=cv2.INTER_AREA) for part in (keep, added))
    top, left = patch.top // step, patch.left // step
    return bright, *(_plane_patch(top, left, keep, added[..., place]) for place in (1, 2))


def _plane_patch(top: int, left: int, keep: np.ndarray, added: np.ndarray) -> _PlanePatch:
    area = slice(top, top + keep.shape[0]), slice(left, left + keep.shape[1])
    return _PlanePatch(area, keep if keep.any() else None, cv2.convertScaleAbs(added).reshape(keep.shape))


@functools.cache
def _matrix(matrix: int, span: int) -> np.ndarray:
    """``(3, 4)`` float32 from red, green, blue and what is not kept to brightness and the two colour differences."""
    red, blue = _WEIGHTS.get(matrix, _SD_WEIGHTS)
    bright = np.array([red, 1 - red - blue, blue])
    tall, wide = (1.0, 1.0) if span == FULL else (219 / 255, 224 / 255)
    to_blue = (np.array([0, 0, 1]) - bright) / (2 - 2 * blue)
    to_red = (np.array([1, 0, 0]) - bright) / (2 - 2 * red)
    nothing = np.array([0 if span == FULL else 16, 128, 128]) / 255
    return np.column_stack([np.stack([bright * tall, to_blue * wide, to_red * wide]), nothing]).astype(np.float32)


class CanvasMaker:
    """Turns decoded frames into upright canvases of one size and pixel format.

    Args:
        size: (width, height) in pixels.
        pixels: ``yuv420p``, ``yuvj420p`` or ``yuv444p``.
        tagged: whether the file says which matrix and range its planes have; then they stay as they are.
    """

    def __init__(self, size: tuple[int, int], pixels: str, *, tagged: bool) -> None:
        self._size = size
        self._pixels = pixels
        self._tagged = tagged
        self._reformatter = av.video.reformatter.VideoReformatter()
        self._known: WeakKeyDictionary[Patch, tuple[_Kind, _PlanePatches]] = WeakKeyDictionary()

    def __call__(self, frame: av.VideoFrame) -> Canvas:
        """A canvas with the image of ``frame``, which is not changed."""
        turn = turn_of(frame.rotation)
        width, height = self._size
        lies = turn in (cv2.ROTATE_90_COUNTERCLOCKWISE, cv2.ROTATE_90_CLOCKWISE)
        across, down = (height, width) if lies else (width, height)
        name = frame.format.name.replace("yuvj", "yuv")
        matrix, span = _colours(frame)
        to_matrix, to_span = self._target(matrix, span, frame)
        same = (name, frame.width, frame.height) == (self._pixels.replace("yuvj", "yuv"), across, down)
        if not same or matrix != to_matrix or span != to_span:
            frame = self._reformatter.reformat(
                frame,
                across,
                down,
                format=self._pixels,
                src_colorspace=_SWSCALE.get(matrix),
                dst_colorspace=_SWSCALE[to_matrix],
                src_color_range=span,
                dst_color_range=to_span,
                threads=1,
            )
        made = av.VideoFrame(width, height, self._pixels)
        made.colorspace, made.color_range = to_matrix, to_span
        made.color_primaries, made.color_trc = frame.color_primaries, frame.color_trc
        planes = tuple(_view(plane) for plane in made.planes)
        for plane, source in zip(planes, frame.planes, strict=True):
            if turn is None:
                np.copyto(plane, _view(source))
            else:
                cv2.rotate(_view(source), turn, dst=plane)
        kind = _Kind(height, width, 1 if planes[1].shape == (height, width) else 2, to_matrix, to_span)
        return Canvas(made, planes, kind, self._known)

    def _target(self, matrix: int, span: int, frame: av.VideoFrame) -> tuple[int, int]:
        """Matrix and range of the canvas."""
        if self._pixels.startswith("yuvj"):
            return BT601, FULL  # the one kind that JPEG has
        known = matrix if matrix in _SWSCALE else BT601
        if self._tagged:
            return known, span
        kept = known == BT709 and self._size[1] >= _HD_HEIGHT
        return (BT709 if kept else BT601), LIMITED


def _colours(frame: av.VideoFrame) -> tuple[int, int]:
    """Matrix and range of a decoded frame; without a word of its own they are taken for BT.601 and limited."""
    name = frame.format.name
    if name.startswith(_PACKED):
        return _RGB, FULL
    full = frame.color_range == FULL or name.startswith("yuvj")
    return _SAME.get(int(frame.colorspace), BT601), FULL if full else LIMITED


def _view(plane: av.video.plane.VideoPlane) -> np.ndarray:
    """``(height, width)`` uint8: the bytes of a plane themselves."""
    return np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width]  # type: ignore[call-overload]
