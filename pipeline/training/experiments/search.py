"""Searching settings: a grid or a space in YAML, trials that survive a kill, a ranking by validation only.

    head: [gru, mean]
    units: [32, 64]
    dropout: [0.5, 0.7]
    learning_rate: {low: 0.0001, high: 0.003, log: true}     # a range: for random and tpe

Each trial is a checkpoint folder named after its settings, so a trial is whole or not there, and a point that
has been trained is never trained again. Optuna proposes what comes next from what these folders hold.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import optuna

from pipeline.errors import UserError
from pipeline.files.atomic import atomic_write
from pipeline.files.guard.reading import read_object
from pipeline.files.tables import keeps_any_text, write_frame
from pipeline.training.checkpoint import CHECKPOINT_FILE, RESULTS_FILE, Checkpoint, write_folder
from pipeline.training.data.dataset import Dataset
from pipeline.training.data.splits import Split
from pipeline.training.evaluation.metrics import measure
from pipeline.training.evaluation.predict import predict
from pipeline.training.experiments.experiment import names_by_split, names_of, train
from pipeline.training.experiments.save import save_run
from pipeline.training.experiments.search_space import (
    OPTIONS,
    STUDY_FILE,
    Point,
    Range,
    Space,
    canonical,
    check_study,
    grid_points,
    key_of,
    specs_of,
)
from pipeline.training.loop.spec import TrainSpec
from pipeline.training.reports.compare import write_comparison

if TYPE_CHECKING:
    import pandas as pd

Method = Literal["grid", "random", "tpe"]
TABLE_FILE, PAGE_FILE = "results.csv", "comparison.html"
_TRIES = 50  # proposals in a row that were trained before, after which the space counts as exhausted


@dataclass(frozen=True)
class Trial:
    """A trained point."""

    point: Point
    folder: Path
    results: dict[str, Any]

    @property
    def val_loss(self) -> float:
        """By which trials are ranked: the validation loss before temperature scaling, which is fitted on the same."""
        return float(self.results["measured"]["val"]["uncalibrated"]["log_loss"])


class Trials(list[Trial]):
    """Trained points, the best first."""

    @keeps_any_text
    def to_frame(self) -> pd.DataFrame:
        """A row per trial: rank, losses and accuracies, the settings that were searched, cost and folder."""
        import pandas as pd

        searched = [key for key in OPTIONS if any(key in trial.point for trial in self)]
        # Objects, so that a whole number stays one where other trials have none.
        settings = {key: pd.Series([trial.point.get(key) for trial in self], dtype=object) for key in searched}
        return pd.DataFrame(
            {
                "rank": range(1, len(self) + 1),
                "val_loss": [trial.val_loss for trial in self],
                "val_accuracy": [trial.results["accuracy"]["val"] for trial in self],
                "train_accuracy": [trial.results["accuracy"]["train"] for trial in self],
                **settings,
                "epochs_run": [trial.results["epochs"] for trial in self],
                "seconds": [trial.results["seconds"] for trial in self],
                "parameters": [trial.results["parameters"] for trial in self],
                "folder": [str(trial.folder) for trial in self],
            }
        )


def search(
    data: Dataset,
    split: Split,
    groups: Sequence[str],
    space: Space,
    out: Path,
    *,
    method: Method = "grid",
    trials: int | None = None,
    base: TrainSpec | None = None,
    on_trial: Callable[[Trial, int, int | None], None] = lambda trial, done, total: None,
) -> Trials:
    """Train points of a space until it is exhausted or ``trials`` have been trained, also in earlier calls.

    The test part of the split is not used; `finish` looks at it once.

    Args:
        data: the videos, loaded once for all trials.
        split: the same for all.
        groups: a group for each video.
        space: what to vary.
        out: folder of the study.
        method: every point of a grid, random points, or Optuna's tree-structured Parzen estimator.
        trials: how many points; for a grid all of them by default.
        base: what is the same in all trials.
        on_trial: called with each trial, how many are done and how many there will be.

    Returns:
        All trials, the best first.

    Raises:
        UserError: a point is impossible, or the folder holds something else.
    """
    base = base or TrainSpec()
    base = replace(base, members=base.members or 1)
    # Trials with several members leave the validation videos to the ranking as well.
    blind = replace(split, test=split.test[:0], notes=(), drawn_val=None)
    check_study(out)
    points = grid_points(space) if method == "grid" else []
    for point in points:
        specs_of(point, base, data, split)  # all mistakes are told before the first training
    if method != "grid" and trials is None:
        raise UserError(f"`method={method}` needs `trials`, the number of points to train")
    out.mkdir(parents=True, exist_ok=True)
    _check_same(out, data, split, base)
    done = {key_of(trial.point): trial for trial in _finished(out)}
    # An earlier call may have trained points that are not in this grid; they are ranked, but do not count here.
    wanted = {key_of(point) for point in points}
    total = trials if method != "grid" else len(points) if trials is None else min(len(points), trials)
    proposals = iter(points) if method == "grid" else _proposals(method, base.seed, space, done)
    for point in proposals:
        count = len(done.keys() & wanted) if method == "grid" else len(done)
        if total is not None and count >= total:
            break
        key = key_of(point)
        if key in done:
            continue
        head, window, spec = specs_of(point, base, data, split)
        run = train(data, blind, head=head, groups=groups, window=window, spec=spec)
        if run.results["interrupted"]:
            raise KeyboardInterrupt
        run.results["point"] = canonical(point)
        folder = save_run(run, out / "trials" / key, overwrite=True).folder
        done[key] = Trial(canonical(point), folder, run.results)
        _write_tables(out, ranked(done.values()))
        on_trial(done[key], count + 1, total)
    trials_of_all = ranked(done.values())
    _write_tables(out, trials_of_all)
    return trials_of_all


def ranked(trials: Iterable[Trial]) -> Trials:
    """The lowest validation loss first."""
    return Trials(sorted(trials, key=lambda trial: (trial.val_loss, trial.folder.name)))


def finish(best: Trial, data: Dataset, split: Split, groups: Sequence[str], out: Path) -> dict[str, Any]:
    """Copy the best trial to ``out/best`` and look at the test part, once.

    Returns:
        The figures of the test part; empty where there is none.
    """
    results = dict(best.results)
    results["split"] = {**results["split"], "test": names_of(data, split.test)}
    figures: dict[str, Any] = {}
    if len(split.test):
        figures = measure(predict(Checkpoint.load(best.folder), data, split.test, "test"), groups)
        for name in ("accuracy", "log_loss"):
            results[name] = {**results[name], "test": figures[name]}
        results["measured"] = {**results["measured"], "test": figures}
    with write_folder(out / "best", overwrite=True) as temporary:
        shutil.copytree(best.folder, temporary, dirs_exist_ok=True)
        text = json.dumps(results, indent=2, ensure_ascii=False)
        (temporary / RESULTS_FILE).write_text(text + "\n", encoding="utf-8", errors="surrogateescape")
    return figures


def _finished(out: Path) -> Iterator[Trial]:
    for path in sorted((out / "trials").glob(f"*/{CHECKPOINT_FILE}")):
        if not path.parent.name.startswith("."):  # what a kill left unfinished
            results = Checkpoint.load(path.parent).metrics
            yield Trial(results["point"], path.parent, results)


def _check_same(out: Path, data: Dataset, split: Split, base: TrainSpec) -> None:
    """Trials can be compared only if they had the same videos, split and seed."""
    text = json.dumps([data.fingerprint, names_by_split(data, split), base.seed], sort_keys=True)
    found = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
    path = out / STUDY_FILE
    if path.exists() and read_object(path, needs=["same"])["same"] != found:
        raise UserError(f"{out} holds a search with other videos, another split or seed; choose another `out`")
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps({"same": found}) + "\n")


def _distributions(space: Space) -> dict[str, optuna.distributions.BaseDistribution]:
    return {
        key: values.distribution()
        if isinstance(values, Range)
        else optuna.distributions.CategoricalDistribution(values)
        for key, values in space.items()
    }


def _proposals(method: Method, seed: int, space: Space, done: dict[str, Trial]) -> Iterator[Point]:
    """Points that Optuna proposes and that are new; ends where it finds no new one.

    Args:
        method: random or tpe.
        seed: of the drawing.
        space: what to vary.
        done: all trials so far; what is trained between two proposals must be added.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    seed += len(done)  # an interrupted search goes on, it does not repeat what it proposed first
    sampler = optuna.samplers.TPESampler(seed=seed) if method == "tpe" else optuna.samplers.RandomSampler(seed=seed)
    study = optuna.create_study(direction="minimize", sampler=sampler)
    distributions = _distributions(space)
    told: set[str] = set()
    tries = 0
    while tries < _TRIES:
        for key in [key for key in done if key not in told]:
            _tell(study, distributions, done[key])
        told = set(done)
        trial = study.ask(distributions)
        # What is trained is told as a trial of its own, without the settings that make no difference.
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        tries += 1
        if key_of(trial.params) not in done:
            tries = 0
            yield dict(trial.params)


def _tell(study: optuna.Study, distributions: dict[str, optuna.distributions.BaseDistribution], trial: Trial) -> None:
    params = {key: value for key, value in trial.point.items() if key in distributions}
    # A trial of an earlier search may lie outside of this space.
    with contextlib.suppress(ValueError):
        study.add_trial(
            optuna.trial.create_trial(
                params=params, distributions={key: distributions[key] for key in params}, value=trial.val_loss
            )
        )


def write_ranking(trials: Iterable[Trial], out: Path) -> None:
    """The tables of trials of several stores, which are below ``out``, with the store of each."""
    _write_tables(out, ranked(trials), stores=True)


def _write_tables(out: Path, trials: Trials, *, stores: bool = False) -> None:
    """``results.csv`` and the page that compares the trials, the best first."""
    frame = trials.to_frame()
    if stores:
        frame.insert(1, "store", [trial.results["store"] for trial in trials])
    frame["folder"] = [trial.folder.relative_to(out).as_posix() for trial in trials]
    write_frame(frame, out / TABLE_FILE)
    write_comparison([trial.folder for trial in trials], out / PAGE_FILE, title=out.name)
