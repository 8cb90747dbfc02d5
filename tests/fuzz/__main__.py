"""Damaged files by the thousand: ``make fuzz MINUTES=15``, or ``python -m tests.fuzz --minutes 15 --seed 7``.

Each file is read in a process of its own that may take 20 s and 2 GB. It must end well, in one line, or, a video, in a
row of failures.csv. What does not is kept in ``--keep`` and named, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import importlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.fuzz import targets
from tests.fuzz.mutate import mutated, mutated_json
from tests.fuzz.samples import copy_of, make_samples

SECONDS, MEMORY = 20, 2 << 30
BATCH = 30  # videos in a round
KINDS = ("videos", "tables", "store", "checkpoint")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--keep", type=Path, default=Path("fuzz-findings"))
    parser.add_argument("--only", choices=KINDS)
    parser.add_argument("--use", type=Path, help="use this file of a folder as it is, and damage nothing")
    args = parser.parse_args()
    if args.use:
        outcome = in_child(lambda: getattr(targets, args.only)(args.use), SECONDS)
        print(outcome)
        return int(outcome not in ("fine", "one line"))
    dice, counts = random.Random(args.seed), Counter[str]()
    end = time.monotonic() + 60 * args.minutes
    print(f"seed {args.seed}", flush=True)
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        in_child(lambda: make_samples(work / "samples", args.only), 600)
        _import_targets(args.only)
        while time.monotonic() < end:
            kind = args.only or dice.choice(KINDS)
            for _ in range(1 if kind == "videos" else BATCH):
                outcomes = fuzz_videos(work, dice) if kind == "videos" else [fuzz_one(work, kind, dice)]
                for damaged, outcome in outcomes:
                    word = outcome.partition(":")[0]
                    counts[f"{kind}: {word}"] += 1
                    if word not in ("fine", "one line", "a row"):
                        args.keep.mkdir(exist_ok=True)
                        kept = args.keep / f"{args.seed}-{sum(counts.values())}-{damaged.name}"
                        shutil.copy(damaged, kept)
                        print(f"{kept}: {outcome}", flush=True)
    for word, count in sorted(counts.items()):
        print(f"{word}: {count:,}")
    return int(any(word.partition(": ")[2] not in ("fine", "one line", "a row") for word in counts))


def _import_targets(kind: str | None) -> None:
    """What children need is imported once, before they are forked; nothing computes here."""
    names = ["h5py", "pandas", "yaml", "pipeline.extraction.store.import_export", "pipeline.published.system"]
    names += ["pipeline.training.experiments.search_space", "pipeline.videos.labels.annotation_formats"]
    names += ["pipeline.videos.labels.frame_labels", "pipeline.videos.quality.problems"]
    if kind in (None, "checkpoint"):
        names += ["keras", "pipeline.training.reports.compare", "pipeline.training.heads.registry"]
    for name in names:
        importlib.import_module(name)


def fuzz_one(work: Path, kind: str, dice: random.Random) -> tuple[Path, str]:
    """Damage one file of a fresh copy, and use it."""
    folder = copy_of(work / "samples" / kind, work / kind)
    names = {
        "tables": sorted(path.name for path in folder.iterdir()),
        "store": ["recipe.json", "catalog.csv", *[path.name for path in folder.glob("shard-*.h5")] * 4],
        "checkpoint": ["checkpoint.json", "checkpoint.json", "results.json", "model.keras"],
    }
    path = folder / dice.choice(names[kind])
    content = path.read_bytes()
    if path.suffix == ".json" and dice.random() < 0.8:
        path.write_bytes(mutated_json(content, dice))
    else:
        path.write_bytes(mutated(content, dice, text=path.suffix not in (".h5", ".keras")))
    outcome = in_child(lambda: getattr(targets, kind)(path), SECONDS)
    if kind == "checkpoint" and outcome.startswith("hang"):
        # TensorFlow's threads do not survive the fork of a process that has imported it, so a fresh one decides.
        again = [sys.executable, "-m", "tests.fuzz", "--only", kind, "--use", str(path)]
        outcome = subprocess.run(again, capture_output=True, text=True).stdout.strip() or outcome
    return path, outcome


def fuzz_videos(work: Path, dice: random.Random) -> list[tuple[Path, str]]:
    """Damage many videos, and use them in one go."""
    samples = sorted((work / "samples/videos").iterdir())
    shutil.rmtree(work / "videos", ignore_errors=True)
    (work / "videos").mkdir()
    paths = []
    for number in range(BATCH):
        sample = dice.choice(samples)
        paths.append(work / "videos" / f"{number}-{sample.name}")
        content = sample.read_bytes()
        if dice.random() < 0.1:  # a head of one and a tail of another
            other = dice.choice(samples).read_bytes()
            content = content[: dice.randrange(len(content))] + other[dice.randrange(len(other)) :]
        paths[-1].write_bytes(mutated(content, dice))
    told = work / "told"

    def use() -> None:
        with told.open("w") as file:
            for path, reason in targets.videos(paths):
                file.write(f"{path}\t{reason}\n")

    outcome = in_child(use, SECONDS * BATCH)
    if outcome != "fine":
        return [(path, outcome) for path in paths]
    found = dict.fromkeys(paths, "fine")
    for line in told.read_text().splitlines():
        name, reason = line.split("\t", 1)
        untold = "stopped with status" in reason or "hung" in reason
        if reason and found[Path(name)] in ("fine", "a row"):
            found[Path(name)] = f"untold: {reason}" if untold else "a row"
    return list(found.items())


def in_child(use: Callable[[], object], seconds: float) -> str:
    """What became of a call in a process of its own: fine, one line, traceback, memory, hang or crash."""
    with tempfile.TemporaryFile("w+") as said:
        if (child := os.fork()) == 0:
            _call(use, said.fileno())
        end = time.monotonic() + seconds
        while (waited := os.wait4(child, os.WNOHANG))[0] == 0:
            if time.monotonic() > end:
                os.kill(child, signal.SIGKILL)
                os.wait4(child, 0)
                return f"hang: {seconds:g} s"
            time.sleep(0.002)
        _, status, usage = waited
        said.seek(0)
        text = said.read()
    if usage.ru_maxrss << 10 > MEMORY:
        return f"memory: {usage.ru_maxrss >> 10:,} MB"
    if os.WIFSIGNALED(status):
        return f"crash: {signal.Signals(os.WTERMSIG(status)).name}"
    return {0: "fine", 3: "one line"}.get(os.WEXITSTATUS(status), f"traceback: {text[-1500:]}")


def _call(use: Callable[[], object], said: int) -> None:
    status = 1
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(said, 2)
    try:
        use()
        status = 0
    except targets.MISTAKES as error:
        status = 3 if "\n" not in str(error) and len(str(error)) < 2000 else 1
        if status == 1:
            os.write(2, str(error).encode("utf-8", "replace"))
    except BaseException:  # noqa: BLE001 - that is what is looked for
        os.write(2, traceback.format_exc().encode("utf-8", "replace"))
    os._exit(status)


if __name__ == "__main__":
    sys.exit(main())
