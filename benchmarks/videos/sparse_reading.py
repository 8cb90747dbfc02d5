"""How long do 20 frames of a long video take, and are they the right ones?

Draws two H.264 videos with a keyframe every 250 frames (5 minutes of 1080p, 1 minute of 720p) whose frames carry
their number, and reads 20 frames spread over each: with our reader, with OpenCV reading through (``grab`` all,
``retrieve`` the wanted), with OpenCV seeking, and with decord where it is installed. Each way runs --repeat times
in turn; the smallest time counts.
"""

from __future__ import annotations

import importlib.util
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from benchmarks.drawn_videos import draw_video
from benchmarks.measure import Stopwatch, in_turn
from pipeline.cli import command
from pipeline.cli.parser import Parser
from pipeline.videos.media import open_video
from pipeline.videos.media.sampling import uniform

_BITS = 16
_VIDEOS = (("5 min 1080p", 1920, 1080, 9000), ("1 min 720p", 1280, 720, 1800))


def draw(path: Path, width: int, height: int, frames: int) -> None:
    """A moving test picture with the frame number as bars along the top."""
    unit = width // _BITS
    bars = ",".join(
        f"drawbox=x={place * unit}:y=0:w={unit}:h={height // 8}:t=fill:"
        f"color=white:enable='eq(mod(floor(n/{2 ** (_BITS - 1 - place)}),2),1)'"
        for place in range(_BITS)
    )
    black = f"drawbox=x=0:y=0:w={width}:h={height // 8}:t=fill:color=black"
    encode = ["-frames:v", str(frames), "-c:v", "libx264", "-preset", "veryfast"]
    encode += ["-g", "250", "-keyint_min", "250", "-sc_threshold", "0"]
    draw_video(path, f"testsrc2=size={width}x{height}:rate=30,{black},{bars}", encode)


def number_of(image: np.ndarray) -> int:
    """The number that `draw` put into a frame."""
    height, width = image.shape[:2]
    unit = width // _BITS
    row = image[height // 16, unit // 2 :: unit].mean(axis=1)[:_BITS] > 127
    return int(sum(int(bit) << (_BITS - 1 - place) for place, bit in enumerate(row)))


def ours(path: Path, wanted: np.ndarray) -> list[np.ndarray]:
    with open_video(path) as video:
        video.times()
        return [frame.image for frame in video.frames(wanted)]


def opencv_through(path: Path, wanted: np.ndarray) -> list[np.ndarray]:
    capture, found = cv2.VideoCapture(str(path)), []
    places = set(wanted.tolist())
    for number in range(wanted[-1] + 1):
        capture.grab()
        if number in places:
            found.append(capture.retrieve()[1])
    capture.release()
    return found


def opencv_seek(path: Path, wanted: np.ndarray) -> list[np.ndarray]:
    capture, found = cv2.VideoCapture(str(path)), []
    for number in wanted.tolist():
        capture.set(cv2.CAP_PROP_POS_FRAMES, number)
        found.append(capture.read()[1])
    capture.release()
    return found


def with_decord(path: Path, wanted: np.ndarray) -> list[np.ndarray]:
    import decord

    return list(decord.VideoReader(str(path)).get_batch(wanted).asnumpy())


Way = Callable[[Path, np.ndarray], list[np.ndarray]]
WAYS: dict[str, Way] = {"ours": ours, "OpenCV reading through": opencv_through, "OpenCV seeking": opencv_seek}


def read(way: Way, path: Path, wanted: np.ndarray) -> tuple[float, bool]:
    """The seconds of a way, and whether it returned the right frames."""
    with Stopwatch() as time:
        images = way(path, wanted)
    return time.clock, [number_of(image) for image in images] == wanted.tolist()


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(__doc__, "python -m benchmarks.videos.sparse_reading")
    parser.add_argument("--repeat", type=int, default=3, help="readings of each way")
    parser.add_argument("--short", action="store_true", help="the minute of 720p only")
    args = parser.parse_args(argv)
    ways = WAYS | ({"decord": with_decord} if importlib.util.find_spec("decord") else {})
    status = command.OK
    with tempfile.TemporaryDirectory() as folder:
        for name, width, height, frames in _VIDEOS[args.short :]:
            path = Path(folder, f"{height}.mp4")
            draw(path, width, height, frames)
            wanted = uniform(np.arange(frames), 20)
            found = in_turn({way: partial(read, f, path, wanted) for way, f in ways.items()}, args.repeat)
            times = {way: min(seconds for seconds, _ in readings) for way, readings in found.items()}
            print(f"20 of {frames:,} frames, {name}, H.264, a keyframe every 250 frames:")
            for way, seconds in times.items():
                right = all(good for _, good in found[way])
                status = status if right or way != "ours" else command.SOME_FAILED
                share = f"ours takes {times['ours'] / seconds:.2f} of it"
                print(f"  {way:24}{seconds:7.2f} s   {share}{'' if right else '; WRONG frames'}", flush=True)
    return status


if __name__ == "__main__":
    sys.exit(command.run(main))
