"""Makes the DATA of a published system from a folder of action clips, as the figures in configs/ were measured on it.

CLIPS holds <Class>/<Class>_personN.mp4 and mirrored copies <Class>/<Class>_personN_mirrored.mp4, of four actions by
nine people. Where a system says what is tested, people 8 and 9 are (of keras-example 7 too), and no others.

    apriorit          {train,test}/<Class>/personN.mp4 of two actions, each again and again for 6 seconds; Match.mp4
    keras-example     train.csv and test.csv (video_name,tag) and the clips of four actions
    rolling-average   images/<Class>/personN_FRAME.jpg, every eighth frame of three actions; match.mp4
    frame-generators  <Class>/personN.mp4 of four actions
    ecology-grid      personN/personN_00001.jpg and labels.csv: each person does two actions one after the other
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from pipeline.cli import command
from pipeline.cli.parser import Parser
from pipeline.errors import UserError
from pipeline.videos.media import open_video
from pipeline.videos.media.writer import VideoWriter

PEOPLE = range(1, 10)
FPS = 25.0


class Clips:
    """The clips of a folder by class and person."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        if not self.path("jack", 1).is_file():
            raise UserError(f"{folder} has no jack/jack_person1.mp4; expected <Class>/<Class>_personN.mp4")

    def path(self, label: str, person: int, *, mirrored: bool = False) -> Path:
        return self._folder / label / f"{label}_person{person}{'_mirrored' if mirrored else ''}.mp4"

    def images(self, label: str, person: int) -> Iterator[np.ndarray]:
        with open_video(self.path(label, person)) as video:
            for frame in video:
                yield frame.image


def write_recording(clips: Clips, acts: Sequence[tuple[str, int]], seconds: float, path: Path) -> None:
    """One person's action after another's, each shown again and again for some seconds."""
    first = next(clips.images(*acts[0]))
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, fps=FPS, size=(first.shape[1], first.shape[0])) as video:
        for label, person in acts:
            images = list(clips.images(label, person))
            for number in range(round(seconds * FPS)):
                video.write(images[number % len(images)])


def write_image(image: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))


def apriorit(clips: Clips, out: Path) -> None:
    for label in ("bend", "jack"):
        for person in PEOPLE:
            part = "test" if person > 7 else "train"
            write_recording(clips, [(label, person)], 6, out / part / label / f"person{person}.mp4")
    write_recording(clips, [("bend", 9), ("jack", 9)], 6, out / "Match.mp4")


def keras_example(clips: Clips, out: Path) -> None:
    """The clips are copied; the mirrored ones are in the training part only."""
    for part, people in (("train", range(1, 7)), ("test", range(7, 10))):
        lines = ["video_name,tag"]
        for label in ("bend", "jack", "wave1", "wave2"):
            for person in people:
                for mirrored in (False, True) if part == "train" else (False,):
                    source = clips.path(label, person, mirrored=mirrored)
                    (out / part).mkdir(parents=True, exist_ok=True)
                    (out / part / source.name).write_bytes(source.read_bytes())
                    lines.append(f"{source.name},{label}")
        (out / f"{part}.csv").write_text("\n".join(lines) + "\n")


def rolling_average(clips: Clips, out: Path) -> None:
    for label in ("bend", "jack", "wave2"):
        for person in PEOPLE:
            for number, image in enumerate(clips.images(label, person)):
                if number % 8 == 0:
                    write_image(image, out / "images" / label / f"person{person}_{number:03}.jpg")
    write_recording(clips, [("bend", 9), ("jack", 9), ("wave2", 9)], 6, out / "match.mp4")


def frame_generators(clips: Clips, out: Path) -> None:
    for label in ("bend", "jack", "wave1", "wave2"):
        for person in PEOPLE:
            path = out / label / f"{label}_person{person}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(clips.path(label, person).read_bytes())


def ecology_grid(clips: Clips, out: Path) -> None:
    """Odd people jack first, even ones bend; every second frame, 32 in all."""
    rows = ["video,frame,label"]
    for person in PEOPLE:
        name, count = f"person{person}", 0
        for label in ("jack", "bend") if person % 2 else ("bend", "jack"):
            for image in list(clips.images(label, person))[:32:2]:
                count += 1
                write_image(image, out / name / f"{name}_{count:05}.jpg")
                rows.append(f"{name},{name}_{count:05}.jpg,{label}")
    (out / "labels.csv").write_text("\n".join(rows) + "\n")


SYSTEMS: dict[str, Callable[[Clips, Path], None]] = {
    "apriorit": apriorit,
    "keras-example": keras_example,
    "rolling-average": rolling_average,
    "frame-generators": frame_generators,
    "ecology-grid": ecology_grid,
}


def main(argv: Sequence[str] | None = None) -> int:
    made = Parser(__doc__, "python -m benchmarks.published_data keras-example CLIPS --out data")
    made.add_argument("system", choices=tuple(SYSTEMS), help="whose DATA")
    made.add_argument("clips", metavar="CLIPS", type=Path, help="the folder of action clips")
    made.add_argument("--out", type=Path, required=True, help="the folder to write, which must not be there")
    args = made.parse_args(argv)
    if args.out.exists():
        raise UserError(f"{args.out} exists; choose another --out")
    SYSTEMS[args.system](Clips(args.clips), args.out)
    command.say(args.quiet)(f"{args.out}: the DATA of {args.system}")
    return command.OK


if __name__ == "__main__":
    sys.exit(command.run(main))
