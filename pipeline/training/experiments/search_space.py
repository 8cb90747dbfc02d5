"""What can be searched: settings with lists of values or ranges, and what a point of them means."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from argparse import Namespace
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.cli.fields import given, options_of
from pipeline.errors import UserError
from pipeline.files.guard.reading import read_yaml
from pipeline.training.data.dataset import Dataset, check_window
from pipeline.training.data.feature_augmentation import FeatureAugmentation
from pipeline.training.data.splits import Split
from pipeline.training.data.windows import WindowSpec
from pipeline.training.heads.registry import HEADS, check_input, check_length, head_spec
from pipeline.training.heads.spec import HeadSpec
from pipeline.training.loop.spec import TrainSpec

if TYPE_CHECKING:
    import optuna

Point = dict[str, Any]
STUDY_FILE = "search.json"  # in the folder of a search
OPTIONS = {
    option.key: option
    for spec in (HeadSpec, WindowSpec, TrainSpec)
    for option in options_of(spec).values()
    if option.field != "seed"  # the same for all trials
}
"""What can be searched, by the YAML key: every field of these."""


@dataclass(frozen=True)
class Range:
    """Numbers between two ends, both included."""

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def distribution(self) -> optuna.distributions.BaseDistribution:
        from optuna.distributions import FloatDistribution, IntDistribution  # a grid file that is wrong is told before

        if self.whole:
            return IntDistribution(int(self.low), int(self.high), log=self.log)
        return FloatDistribution(self.low, self.high, log=self.log)


Space = dict[str, list[Any] | Range]


def check_study(out: Path) -> None:
    """Refuse a folder of something else for a search.

    Raises:
        UserError: it is not empty, and no search was made there.
    """
    if out.exists() and not (out / STUDY_FILE).exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} exists and holds no search; choose another `out`")


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
            raise UserError(f"{path}: {key} from {low:g} to {high:g} is not a range")
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
    if isinstance(point.get("units"), str) and head.widths == "stack":
        idle.add("layers")  # there are as many as widths
    if "cell" in head.takes and point.get("cell", head.settings["cell"]) != "conv1d":
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
    check_length(head, window.length)
    spec = replace(base, **given(TrainSpec, chosen))
    check_input(head, data.shape, str(data.folder))
    spec.check(head)
    return head, window, spec
