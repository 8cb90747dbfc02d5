"""Recordings that the project draws itself, so that everything can be tried without a video of one's own.

Five classes that differ in what moves and how, in shape and in texture. The recordings of a class differ
in colour shade, size, frame rate, length, speed, place and noise, as real ones do. The same seed draws the
same recordings.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TypeAlias

from pipeline.errors import UserError
from pipeline.files.atomic import atomic_write
from pipeline.lazy import av, cv2, np
from pipeline.videos.media.writer import VideoWriter

_SIZES = ((320, 240), (256, 256), (240, 320), (360, 240))
_RATES = (15.0, 20.0, 24.0, 25.0)
_NOISE_IMAGES = 6

Scene: TypeAlias = "Callable[[float, np.ndarray], None]"
"""Draws the moment ``t`` (seconds) onto a ``(height, width, 3)`` uint8 RGB canvas that holds the background."""


def _colour(hue: float, saturation: float, value: float) -> tuple[int, int, int]:
    """RGB of a hue in degrees, saturation and value in 0..1."""
    pixel = np.array([[[hue % 360 / 2, 255 * saturation, 255 * value]]], np.uint8)
    red, green, blue = cv2.cvtColor(pixel, cv2.COLOR_HSV2RGB)[0, 0].tolist()
    return red, green, blue


def _checkers(width: int, height: int, cell: int, light: tuple, dark: tuple) -> np.ndarray:
    y, x = np.mgrid[:height, :width] // cell
    return np.where(((x + y) % 2 == 0)[..., None], light, dark).astype(np.uint8)


def _stripes(width: int, height: int, pitch: int, angle: float, light: tuple, dark: tuple) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    phase = (x * math.cos(angle) + y * math.sin(angle)) % pitch < pitch / 2
    return np.where(phase[..., None], light, dark).astype(np.uint8)


def _bounce(rng: np.random.Generator, width: int, height: int) -> tuple[np.ndarray, Scene]:
    """A ball that bounces on a chequered floor."""
    hue, radius = rng.uniform(5, 35), int(min(width, height) * rng.uniform(0.10, 0.16))
    speed, period, phase = rng.uniform(0.12, 0.3), rng.uniform(0.8, 1.3), rng.uniform(0, 2)
    ground = np.full((height, width, 3), _colour(205, 0.35, rng.uniform(0.75, 0.95)), np.uint8)
    floor = int(height * 0.72)
    ground[floor:] = _checkers(width, height - floor, 18, (225, 225, 215), (70, 70, 80))

    def draw(t: float, canvas: np.ndarray) -> None:
        along = (t * speed + phase) % 2
        x = radius + (width - 2 * radius) * (along if along < 1 else 2 - along)
        fall = (t / period + phase) % 1
        y = floor - radius + 6 - 4 * fall * (1 - fall) * (floor - 2 * radius)
        cv2.circle(canvas, (int(x), int(y)), radius, _colour(hue, 0.9, 0.95), -1, cv2.LINE_AA)
        cv2.circle(canvas, (int(x - radius * 0.35), int(y - radius * 0.35)), radius // 4, (255, 240, 225), -1)

    return ground, draw


def _sweep(rng: np.random.Generator, width: int, height: int) -> tuple[np.ndarray, Scene]:
    """A bar that sweeps to and fro over fine diagonal stripes."""
    period, phase, thick = rng.uniform(1.4, 2.4), rng.uniform(0, 1), int(width * rng.uniform(0.08, 0.13))
    hue = rng.uniform(90, 140)
    ground = _stripes(width, height, 8, math.pi / 4, _colour(hue, 0.5, 0.85), _colour(hue, 0.6, 0.45))

    def draw(t: float, canvas: np.ndarray) -> None:
        x = int((0.5 - 0.5 * math.cos(2 * math.pi * (t / period + phase))) * (width - thick))
        cv2.rectangle(canvas, (x, 0), (x + thick, height), (245, 245, 250), -1)
        cv2.rectangle(canvas, (x, 0), (x + thick, height), (20, 20, 25), 3)

    return ground, draw


def _turn(rng: np.random.Generator, width: int, height: int) -> tuple[np.ndarray, Scene]:
    """A square that turns on the spot, in front of a dark, smooth ground."""
    side, rate = min(width, height) * rng.uniform(0.28, 0.36), rng.uniform(0.4, 0.9) * rng.choice((-1, 1))
    centre = np.array([width * rng.uniform(0.42, 0.58), height * rng.uniform(0.42, 0.58)])
    hue, phase = rng.uniform(270, 310), rng.uniform(0, 6)
    fade = np.linspace(0.15, 0.4, height)[:, None, None]
    ground = (fade * np.array(_colour(240, 0.5, 1.0)) * np.ones((1, width, 1))).astype(np.uint8)

    def draw(t: float, canvas: np.ndarray) -> None:
        angles = 2 * math.pi * rate * t + phase + np.arange(4) * math.pi / 2
        corners = centre + side * np.stack([np.cos(angles), np.sin(angles)], 1)
        cv2.fillPoly(canvas, [corners.astype(np.int32)], _colour(hue, 0.75, 0.9), cv2.LINE_AA)
        inner = centre + side * 0.55 * np.stack([np.cos(angles), np.sin(angles)], 1)
        cv2.polylines(canvas, [inner.astype(np.int32)], True, (255, 235, 255), 4, cv2.LINE_AA)

    return ground, draw


def _blink(rng: np.random.Generator, width: int, height: int) -> tuple[np.ndarray, Scene]:
    """A grid of lamps that go on and off."""
    pitch, period = int(rng.integers(46, 60)), rng.uniform(0.5, 1.0)
    hue, phase = rng.uniform(45, 60), rng.uniform(0, 1)
    ground = np.full((height, width, 3), _colour(0, 0.0, rng.uniform(0.12, 0.22)), np.uint8)
    places = [(x, y) for y in range(pitch // 2, height, pitch) for x in range(pitch // 2, width, pitch)]

    def draw(t: float, canvas: np.ndarray) -> None:
        for number, place in enumerate(places):
            lit = (t / period + phase + number % 2 * 0.5) % 1 < 0.5
            cv2.circle(canvas, place, pitch // 3, _colour(hue, 0.8, 1.0 if lit else 0.3), -1, cv2.LINE_AA)

    return ground, draw


def _rain(rng: np.random.Generator, width: int, height: int) -> tuple[np.ndarray, Scene]:
    """Short strokes that fall at a slant in front of blurred clouds."""
    clouds = (rng.uniform(60, 200, (8, 8, 1)) * (0.75, 0.85, 1.0)).astype(np.float32)
    ground = np.clip(cv2.resize(clouds, (width, height), interpolation=cv2.INTER_CUBIC), 0, 255).astype(np.uint8)
    drops = rng.uniform(0, 1, (90, 2)) * (width, height)
    slant, speed = rng.uniform(-0.4, 0.4), height * rng.uniform(0.8, 1.4)

    def draw(t: float, canvas: np.ndarray) -> None:
        y = (drops[:, 1] + speed * t) % height
        x = (drops[:, 0] + slant * speed * t) % width
        for left, top in zip(x.astype(int).tolist(), y.astype(int).tolist(), strict=True):
            cv2.line(canvas, (left, top), (int(left + slant * 16), top + 16), (235, 245, 255), 2)

    return ground, draw


SCENES: dict[str, Callable[[np.random.Generator, int, int], tuple[np.ndarray, Scene]]] = {
    "Ball": _bounce,
    "Bar": _sweep,
    "Square": _turn,
    "Lamps": _blink,
    "Rain": _rain,
}


def draw_recordings(
    folder: str | Path,
    *,
    seed: int = 0,
    classes: Sequence[str] = tuple(SCENES),
    recordings: int = 5,
    seconds: tuple[float, float] = (10.0, 14.0),
) -> list[Path]:
    """Draw ``folder/<Class>/<Class>_<n>.mp4`` (every third one ``.avi``), to be cut into clips.

    Args:
        folder: made where it is missing; recordings of the same names are replaced.
        seed: the same seed draws the same images.
        classes: which of ``SCENES``.
        recordings: how many of each class; each is one group, so a split needs at least three.
        seconds: shortest and longest recording.

    Returns:
        The files, by class and number.

    Raises:
        UserError: an unknown class, or a folder that cannot be written.
    """
    unknown = [name for name in classes if name not in SCENES]
    if unknown:
        raise UserError(f"there is no synthetic class {unknown[0]!r}; expected some of {', '.join(SCENES)}")
    paths = []
    for label in classes:
        for number in range(1, recordings + 1):
            path = Path(folder) / label / f"{label}_{number}{'.avi' if number % 3 == 0 else '.mp4'}"
            rng = np.random.default_rng([seed, list(SCENES).index(label), number])
            _draw(path, rng, label, rng.uniform(*seconds))
            paths.append(path)
    return paths


def draw_match(
    path: str | Path,
    *,
    seed: int = 0,
    classes: Sequence[str] = tuple(SCENES),
    seconds: tuple[float, float] = (5.0, 8.0),
) -> Path:
    """Draw one MP4 that shows several classes, one after the other, as a long recording does.

    Args:
        path: the file; one that is there is replaced.
        seed: the same seed draws the same images.
        classes: of ``SCENES``, in this order.
        seconds: the shortest and the longest stretch of a class.

    Raises:
        UserError: the file cannot be written.
    """
    size, fps = _SIZES[0], _RATES[1]
    rng = np.random.default_rng([seed, len(SCENES)])
    images = (image for label in classes for image in _images(rng, label, rng.uniform(*seconds), size, fps))
    _write_mp4(Path(path), fps, size, images)
    return Path(path)


def _draw(path: Path, rng: np.random.Generator, label: str, seconds: float) -> None:
    size = _SIZES[rng.integers(len(_SIZES))]
    fps = _RATES[rng.integers(len(_RATES))]
    images = _images(rng, label, seconds, size, fps)
    if path.suffix == ".avi":
        with VideoWriter(path, fps=fps, size=size) as video:
            for image in images:
                video.write(image)
    else:
        _write_mp4(path, fps, size, images)


def _images(
    rng: np.random.Generator, label: str, seconds: float, size: tuple[int, int], fps: float
) -> Iterator[np.ndarray]:
    """The frames of a scene, ``(height, width, 3)`` uint8 RGB."""
    width, height = size
    ground, scene = SCENES[label](rng, width, height)
    # Fresh noise for every pixel of every frame would take longer than all else; a few shifted images do.
    strength = rng.uniform(6, 14)
    noise = [
        (strength * rng.standard_normal((height, width, 3), np.float32)).astype(np.int16) for _ in range(_NOISE_IMAGES)
    ]
    light = rng.uniform(0.85, 1.1)
    for number in range(round(seconds * fps)):
        canvas = ground.copy()
        scene(number / fps, canvas)
        grain = np.roll(noise[rng.integers(_NOISE_IMAGES)], int(rng.integers(width)), axis=1)
        yield cv2.add(cv2.convertScaleAbs(canvas, alpha=light), grain, dtype=cv2.CV_8U)


def _write_mp4(path: Path, fps: float, size: tuple[int, int], images: Iterable[np.ndarray]) -> None:
    """Encode H.264, quickly rather than small."""
    try:
        with atomic_write(path) as temporary, av.open(f"file:{temporary}", "w") as container:
            stream = container.add_stream("libx264", rate=Fraction(fps), options={"preset": "ultrafast", "crf": "30"})
            stream.width, stream.height = size
            stream.pix_fmt = "yuv420p"
            for image in images:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            container.mux(stream.encode())
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from None
