"""The default head against logistic regression on wide features of few clips, where a linear model is hard to beat.

Draws sequences like those of a VGG16 on UCF101, 4096 numbers a step after a ReLU, sparse and of uneven scale: 14
classes, filmed in groups of clips that look alike and more like their group than like their class. Seven groups of each
class are tested. Prints the test accuracy of both for each seed, which draws the set and trains.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

import pipeline
from benchmarks.training.cross_validation import LINEAR, clip_means, linear_model
from benchmarks.training.drawn_store import write_store
from pipeline.cli import command
from pipeline.cli.parser import Parser
from pipeline.training.data.splits import make_split

CLASSES, GROUPS, TESTED, STEPS, DIMENSIONS = 14, 19, 7, 12, 4096


def draw(seed: int, clips: int, groups: int = GROUPS) -> Iterator[tuple[str, str, np.ndarray, str]]:
    """Class, split, features and group of each clip.

    Scales of class, group, clip and step are such that a linear model is right about 19 times in 20.
    """
    random = np.random.default_rng(seed)
    scale = random.lognormal(0.0, 0.8, DIMENSIONS).astype(np.float32)  # some outputs of a network are ten times others

    def shift(size: float) -> np.ndarray:
        """A direction of few outputs, as a layer after its ReLU has them."""
        values = random.normal(size=DIMENSIONS).astype(np.float32)
        return size * values * (random.random(DIMENSIONS) < 0.15)

    classes = [shift(0.64) for _ in range(CLASSES)]
    for label, centre in enumerate(classes):
        for group in range(groups):
            of_group = shift(2.2)
            # Scenes of other classes are like it, too.
            of_group += random.uniform(0.0, 0.9) * classes[int(random.integers(CLASSES))]
            for _ in range(clips):
                of_clip = centre + of_group + shift(0.5)
                noise = random.normal(size=(STEPS, DIMENSIONS)).astype(np.float32)
                features = np.maximum(0, scale * (of_clip + 0.6 * noise - 0.7))
                split = "test" if group < TESTED else "train"
                yield f"class{label}", split, features, f"class{label}group{group}"


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(__doc__, "python -m benchmarks.training.wide_features")
    parser.add_argument("--seeds", type=int, default=5, help="how many")
    parser.add_argument("--first-seed", type=int, default=0, help="the others follow it")
    parser.add_argument("--clips", type=int, default=3, help="in each group")
    parser.add_argument("--groups", type=int, default=GROUPS, help=f"of each class; {TESTED} of them are tested")
    parser.add_argument("--members", type=int, help="as for train.py")
    parser.add_argument("--batch", type=int, help="as for train.py")
    args = parser.parse_args(argv)
    found: dict[str, list[float]] = {"head": [], LINEAR: []}
    for seed in range(args.first_seed, args.first_seed + args.seeds):
        with tempfile.TemporaryDirectory() as folder:
            write_store(Path(folder), draw(seed, args.clips, args.groups))
            data = pipeline.open_dataset(folder)
            groups = [video.group for video in data.videos]
            split = make_split(data, groups)
            spec = pipeline.TrainSpec(seed=seed, members=args.members, batch=args.batch)
            run = pipeline.train(data, split, groups=groups, spec=spec)
        means, rows = clip_means(data), run.split.train
        model = linear_model().fit(means[rows], data.labels[rows])
        found["head"].append(run.results["accuracy"]["test"])
        found[LINEAR].append(float(np.mean(model.predict(means[split.test]) == data.labels[split.test])))
        line = ", ".join(f"{name} {values[-1]:.3f}" for name, values in found.items())
        print(f"seed {seed}: {line}; {run.results['members']['count']} members", flush=True)
    for name, values in found.items():
        print(f"{name}: {np.mean(values):.3f} ± {np.std(values):.3f}")
    return command.OK


if __name__ == "__main__":
    sys.exit(command.run(main))
