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
import itertools
import json
import math
import shutil
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import optuna

from pipeline.cli.fields import given, options_of
from pipeline.errors import UserError
from pipeline.files.atomic import atomic_write
from pipeline.files.tables import write_table
from pipeline.files.yaml_file import read_yaml
from pipeline.training.checkpoint import CHECKPOINT_FILE, RESULTS_FILE, Checkpoint, write_folder
from pipeline.training.data.dataset import Dataset, check_window
from pipeline.training.data.feature_augmentation import FeatureAugmentation
from pipeline.training.data.splits import Split
from pipeline.training.data.windows import WindowSpec
from pipeline.training.evaluation.metrics import measure
from pipeline.training.evaluation.predict import predict
from pipeline.training.experiments.experiment import names_of, save_run, train
from pipeline.training.heads.registry import HEADS, check_input, head_spec
from pipeline.training.heads.spec import HeadSpec
from pipeline.training.loop.spec import TrainSpec
from pipeline.training.reports.compare import write_comparison

Point = dict[str, Any]
Method = Literal["grid", "random", "tpe"]
OPTIONS = {
    option.key: option
    for spec in (HeadSpec, WindowSpec, TrainSpec)
    for option in options_of(spec).values()
    if option.field != "seed"  # the same for all trials
}
"""What can be searched, by the YAML key: every field of these."""
STUDY_FILE, TABLE_FILE, PAGE_FILE = "search.json", "results.csv", "comparison.html"
_TRIES = 50  # proposals in a row that were trained before, after which the space counts as exhausted


# -- the space -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Range:
    """Numbers between two ends, both included."""

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def distribution(self) -> optuna.distributions.BaseDistribution:
        if self.whole:
            return optuna.distributions.IntDistribution(int(self.low), int(self.high), log=self.log)
        return optuna.distributions.FloatDistribution(self.low, self.high, log=self.log)


Space = dict[str, list[Any] | Range]


def read_space(path: Path) -> Space:
    """Read a YAML file of settings.

    Raises:
        UserError: no YAML, an unknown key, or values that are no list and no range.
    """
    content = read_yaml(path)
    if not isinstance(content, dict) or not content:
        raise UserError(f"{path} holds no settings; expected lines such as 'units: [32, 64]'")
    unknown = [str(key) for key in content if key not in OPTIONS]
    if unknown:
        raise UserError(f"{path}: unknown key {', '.join(map(repr, unknown))}; expected {', '.join(OPTIONS)}")
    return {key: _values(path, key, value) for key, value in content.items()}


def _values(path: Path, key: str, value: Any) -> list[Any] | Range:
    option = OPTIONS[key]
    if isinstance(value, dict):
        ends = (value.get("low"), value.get("high"))
        if not set(value) <= {"low", "high", "log"} or not all(_is_number(end) for end in ends):
            raise UserError(f"{path}: {key} is {value}; expected a list, or low and high, and log: true if wanted")
        low, high = float(ends[0]), float(ends[1])  # type: ignore[arg-type]
        if option.kind not in (int, float) or not low < high or (value.get("log") and low <= 0):
            raise UserError(f"{path}: {key} from {low:g} to {high:g} is no range")
        return Range(low, high, bool(value.get("log", False)), option.kind is int)
    values = value if isinstance(value, list) else [value]
    if not values:
        raise UserError(f"{path}: {key} has no values")
    try:
        return [option.read(item) for item in values]
    except UserError as error:
        raise UserError(f"{path}: {key}: {error}") from None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def grid_points(space: Space) -> list[Point]:
    """Every combination, each once; settings that a head does not take are left out of its points.

    Raises:
        UserError: the space has a range.
    """
    for key, values in space.items():
        if isinstance(values, Range):
            raise UserError(f"{key} is a range; a grid needs a list, or use `method` random or tpe")
    lists: list[list[Any]] = [values for values in space.values() if not isinstance(values, Range)]
    points = [canonical(dict(zip(space, values, strict=True))) for values in itertools.product(*lists)]
    return list({key_of(point): point for point in points}.values())


def canonical(point: Point) -> Point:
    """The point without settings that make no difference."""
    head = HEADS.get(point.get("head", "gru"))
    if head is None:
        return dict(point)
    idle = {option.key for field, option in options_of(HeadSpec).items() if field not in ("name", *head.takes)}
    of_features = {option.key for option in options_of(FeatureAugmentation).values()} - {"random_windows"}
    idle |= {"augment", "precision"} if head.needs == "features" else of_features
    if "base" not in head.settings:
        idle |= {"fine_tune", "fine_tune_rate"}
    if point.get("cell", head.settings.get("cell")) != "conv1d":
        idle.add("kernel")
    return {key: value for key, value in point.items() if key not in idle}


def key_of(point: Point) -> str:
    """A short name of a point: the same for the same settings, in any order."""
    text = json.dumps(canonical(point), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def specs_of(point: Point, base: TrainSpec, data: Dataset, split: Split) -> tuple[HeadSpec, WindowSpec, TrainSpec]:
    """What a point means.

    Raises:
        UserError: a value is out of range.
    """
    chosen = Namespace(**{OPTIONS[key].field: value for key, value in canonical(point).items()})
    head = head_spec(**given(HeadSpec, chosen))
    window = data.default_window(split.train)
    if of_windows := given(WindowSpec, chosen):
        window = WindowSpec(**{"length": window.length, **of_windows})
    check_window(data, window)
    spec = replace(base, **given(TrainSpec, chosen))
    check_input(head, data.shape, str(data.folder))
    spec.check(head)
    return head, window, spec


# -- the search ------------------------------------------------------------------------------------


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
) -> list[Trial]:
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
    blind = replace(split, test=split.test[:0], notes=())
    if out.exists() and not (out / STUDY_FILE).exists() and any(out.iterdir()):
        raise UserError(f"{out} exists and holds no search; choose another `out`")
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
        _write_tables(out, list(done.values()))
        on_trial(done[key], count + 1, total)
    _write_tables(out, list(done.values()))
    return ranked(list(done.values()))


def ranked(trials: list[Trial]) -> list[Trial]:
    """The lowest validation loss first."""
    return sorted(trials, key=lambda trial: (trial.val_loss, trial.folder.name))


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
    parts = {name: names_of(data, rows) for name, rows in split.parts().items()}
    text = json.dumps([data.fingerprint, parts, base.seed], sort_keys=True)
    found = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
    path = out / STUDY_FILE
    if path.exists() and json.loads(path.read_text())["same"] != found:
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


def _write_tables(out: Path, trials: list[Trial]) -> None:
    """``results.csv`` and the page that compares the trials, the best first."""
    rows = []
    for rank, trial in enumerate(ranked(trials), 1):
        rows.append(
            {
                "rank": rank,
                "val_loss": f"{trial.val_loss:.6f}",
                "val_accuracy": f"{trial.results['accuracy']['val']:.6f}",
                "train_accuracy": f"{trial.results['accuracy']['train']:.6f}",
                **{key: trial.point.get(key, "") for key in OPTIONS},
                "epochs_run": trial.results["epochs"],
                "seconds": f"{trial.results['seconds']:.2f}",
                "parameters": trial.results["parameters"],
                "folder": trial.folder.relative_to(out).as_posix(),
            }
        )
    used = [key for key in OPTIONS if any(row[key] != "" for row in rows)]
    columns = ["rank", "val_loss", "val_accuracy", "train_accuracy", *used, "epochs_run", "seconds", "parameters"]
    write_table(
        [{key: row[key] for key in (*columns, "folder")} for row in rows], [*columns, "folder"], out / TABLE_FILE
    )
    write_comparison([trial.folder for trial in ranked(trials)], out / PAGE_FILE, title=out.name)
