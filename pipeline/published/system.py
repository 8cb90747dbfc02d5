"""A whole system as one YAML file: which commands of this project run, in which order, with which settings.

    steps:
      features: {command: extract_features, data: $data, out: $out/features, sampling: "first:20"}
      model: {command: train, store: $out/features, out: $out/checkpoint, epochs: 10}
    quick:
      model.epochs: 2

Settings are the options of the command without their dashes, and its positional arguments by the name that
``--help`` gives them. ``$data``, ``$out``, ``$weights``, ``$video`` and ``$configs`` are put in when the system runs.
This stands above the four rooms beside `pipeline.cli.command`: it composes commands, and no room may know of it.
"""

from __future__ import annotations

import argparse
import difflib
import importlib.util
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from pipeline.cli import command
from pipeline.errors import UserError
from pipeline.files.yaml_file import read_yaml

SCRIPTS = Path(__file__).parents[2] / "scripts"
CONFIGS = Path(__file__).parents[2] / "configs"
PLACES = ("data", "out", "weights", "video", "configs")


@dataclass(frozen=True)
class Step:
    """One command with its settings."""

    name: str
    script: str
    """The command: the name of a file in ``scripts`` without its ending."""
    settings: dict[str, Any]

    def words(self, places: Mapping[str, str]) -> list[str]:
        """The command line after ``python scripts/NAME.py``, with ``$data`` and the others put in.

        Raises:
            UserError: a setting that the command does not have, or a value that it does not take.
        """
        parser = command.parser_of(_main_of(self.script))
        words = _words(self, parser, _filled(self.settings, places, self.name))
        parser.error = self._refuse  # type: ignore[method-assign]
        parser.parse_args(words)
        return words

    def _refuse(self, message: str) -> Any:
        raise UserError(f"step {self.name!r}, {self.script}.py: {message}")


@dataclass(frozen=True)
class System:
    """What a YAML file describes."""

    path: Path
    steps: tuple[Step, ...]
    quick: dict[str, Any]
    """Other values, by ``step.setting``, for a run that shall be short."""
    needs: tuple[str, ...]
    """Files that the data set must have."""

    @property
    def name(self) -> str:
        """What the system is called: the name of its file."""
        return self.path.stem

    def changed(self, values: Mapping[str, Any]) -> System:
        """The same system with other values, by ``step.setting``.

        Raises:
            UserError: there is no such step. Whether it has the setting is seen by `Step.words`.
        """
        settings = {step.name: dict(step.settings) for step in self.steps}
        for key, value in values.items():
            name, dot, setting = key.partition(".")
            if not dot or not setting:
                raise UserError(f"{key!r}: expected STEP.SETTING=VALUE, such as {self.steps[-1].name}.seed=1")
            if name not in settings:
                raise UserError(f"{self.path}: there is no step {name!r}; the nearest is {_nearest(name, settings)!r}")
            settings[name][setting] = value
        return replace(self, steps=tuple(replace(step, settings=settings[step.name]) for step in self.steps))

    def check_data(self, data: Path) -> None:
        """Refuse a data set that is not there or lacks a file.

        Raises:
            UserError: which one.
        """
        if not data.exists():
            raise UserError(f"--data {data} does not exist; {self.path.stem} needs a data set, see {self.path}")
        for name in self.needs:
            if not (data / name).exists():
                raise UserError(f"--data {data} has no {name}, which {self.path.stem} needs; see {self.path}")


# -- reading ---------------------------------------------------------------------------------------


def find_system(name: str) -> Path:
    """The file of a system: a path, or the name of one in ``configs``.

    Raises:
        UserError: there is none; the line names those that are there.
    """
    for path in (Path(name), CONFIGS / f"{name}.yaml"):
        if path.is_file():
            return path
    known = sorted(path.stem for path in CONFIGS.glob("*.yaml") if "\nsteps:" in path.read_text(encoding="utf-8"))
    nearest = _nearest(Path(name).stem, known) if known else ""
    raise UserError(f"{name} does not exist; configs/ has {', '.join(known)} (the nearest is {nearest})")


def read_system(path: Path) -> System:
    """Read a YAML file.

    Raises:
        UserError: no YAML, an unknown key, or a command that does not exist.
    """
    content = read_yaml(path)
    if not isinstance(content, dict) or not isinstance(content.get("steps"), dict) or not content["steps"]:
        raise UserError(f"{path} describes no system; expected 'steps:' with a command and its settings for each")
    for key in content:
        if key not in ("steps", "quick", "needs"):
            nearest = _nearest(str(key), ("steps", "quick", "needs"))
            raise UserError(f"{path}: unknown key {key!r}; the nearest is {nearest!r}")
    steps = []
    for name, settings in content["steps"].items():
        script = settings.get("command") if isinstance(settings, dict) else None
        if not isinstance(script, str) or not (SCRIPTS / f"{script}.py").is_file():
            known = [file.stem for file in SCRIPTS.glob("*.py")]
            nearest = _nearest(str(script), known)
            raise UserError(f"{path}, step {name!r}: there is no command {script!r}; the nearest is {nearest!r}")
        steps.append(Step(str(name), script, {key: value for key, value in settings.items() if key != "command"}))
    needs = content.get("needs") or []
    return System(path, tuple(steps), dict(content.get("quick") or {}), tuple(map(str, needs)))


def parse_changes(texts: list[str]) -> dict[str, Any]:
    """``step.setting=value`` as given on the command line; values are read as YAML reads them.

    Raises:
        UserError: no ``=``.
    """
    changes = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise UserError(f"--set {text}: expected STEP.SETTING=VALUE")
        try:
            changes[key.strip()] = yaml.safe_load(value)
        except yaml.YAMLError:
            changes[key.strip()] = value
    return changes


# -- from settings to words ------------------------------------------------------------------------


def _main_of(script: str) -> Callable[..., int]:
    path = SCRIPTS / f"{script}.py"
    spec = importlib.util.spec_from_file_location(f"_script_{script}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


def _filled(settings: Mapping[str, Any], places: Mapping[str, str], name: str) -> dict[str, Any]:
    """The settings with ``$data`` and the like put in."""

    def fill(value: Any) -> Any:
        if isinstance(value, list):
            return [fill(item) for item in value]
        if not isinstance(value, str):
            return value
        try:
            return string.Template(value).substitute(places)
        except (KeyError, ValueError):
            expected = ", ".join(f"${place}" for place in PLACES)
            raise UserError(f"step {name!r}: {value!r} has a $name that is none of {expected}") from None

    return {key: fill(value) for key, value in settings.items()}


def _words(step: Step, parser: argparse.ArgumentParser, settings: Mapping[str, Any]) -> list[str]:
    actions = {_key_of(action): action for action in parser._actions if action.dest != "help"}
    for key in settings:
        if _normal(key) not in actions:
            nearest = _nearest(_normal(key), actions)
            raise UserError(f"step {step.name!r}: unknown key {key!r}; the nearest of {step.script}.py is {nearest!r}")
    given = {_normal(key): value for key, value in settings.items()}
    positional, options = [], []
    for key, action in actions.items():
        value = given.get(key)
        if value is None or value is False:
            continue
        values = [str(item) for item in (value if isinstance(value, list) else [value])]
        if not action.option_strings:
            positional += values
        elif action.nargs == 0:
            if value is not True:
                raise UserError(f"step {step.name!r}: {key} is {value!r}; expected true or false")
            options.append(action.option_strings[-1])
        elif isinstance(action, argparse._AppendAction):
            options += [word for item in values for word in (action.option_strings[-1], item)]
        else:
            options += [action.option_strings[-1], *values]
    return positional + options


def _key_of(action: argparse.Action) -> str:
    if action.option_strings:
        return action.option_strings[-1].lstrip("-")
    return _normal(action.metavar if isinstance(action.metavar, str) else action.dest)


def _normal(key: Any) -> str:
    return str(key).lower().replace("_", "-")


def _nearest(word: str, known: Any) -> str:
    return difflib.get_close_matches(word, list(known), n=1, cutoff=0)[0]
