"""A published system as one YAML file: a list of command lines, in the order in which they run.

    commands:
      features: extract $data --out $out/features --sampling first:20
      model: train $out/features --out $out/checkpoint --epochs 10
    quick:
      model: --epochs 2

Each line is what stands after ``video-pipeline``, and has a name. ``$data``, ``$out``, ``$weights``, ``$video`` and
``$configs`` are put in when the system runs. Words that are added at the end of a line count more than those before.
"""

from __future__ import annotations

import argparse
import shlex
import string
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.cli.parser import Parser, nearest
from pipeline.errors import UserError
from pipeline.files.guard.reading import read_yaml

# In a package that was built they lie beside this file, in a clone at its top.
_PACKED = Path(__file__).with_name("configs")
CONFIGS = _PACKED if _PACKED.is_dir() else Path(__file__).parents[2] / "configs"
PLACES = ("data", "out", "weights", "video", "configs")
_KEYS = ("commands", "quick", "needs")


@dataclass(frozen=True)
class Line:
    """One command line of a system."""

    name: str
    verb: str
    """The command, as ``video-pipeline`` takes it."""
    words: tuple[str, ...]
    """Options and arguments, with ``$data`` and the others in them."""

    def filled(self, places: Mapping[str, str]) -> list[str]:
        """The words with ``$data`` and the others put in.

        Raises:
            UserError: a ``$name`` that is none of these.
        """
        try:
            return [string.Template(word).substitute(places) for word in self.words]
        except (KeyError, ValueError):
            expected = ", ".join(f"${place}" for place in PLACES)
            raise UserError(f"{self.name}: {shlex.join(self.words)} has a $name that is none of {expected}") from None

    def parse(self, places: Mapping[str, str], parser_of: Callable[[str], Parser]) -> argparse.Namespace:
        """The options as the command itself reads them; nothing is run.

        Args:
            places: what is put in.
            parser_of: makes the parser of a command.

        Raises:
            UserError: the command would not take the line.
        """
        try:
            return parser_of(self.verb).parse_args(self.filled(places))
        except UserError as error:
            raise UserError(f"{self.name} ({self.verb}): {error}") from None


@dataclass(frozen=True)
class System:
    """What a YAML file describes."""

    path: Path
    lines: tuple[Line, ...]
    quick: dict[str, str]
    """Words by the name of the line they are added to, for a run that shall be short."""
    needs: tuple[str, ...]
    """Files that the data set must have."""

    @property
    def name(self) -> str:
        """What the system is called: the name of its file."""
        return self.path.stem

    def changed(self, added: Mapping[str, str]) -> System:
        """The same system with words added to some lines.

        Raises:
            UserError: there is no line of such a name. Whether the command takes the words is seen by `Line.parse`.
        """
        known = [line.name for line in self.lines]
        for name in added:
            if name not in known:
                raise UserError(f"{self.path}: there is no line {name!r}; the nearest is {nearest(name, known)!r}")
        more = {name: _split(text, f"{self.path}, {name}") for name, text in added.items()}
        return replace(
            self, lines=tuple(replace(line, words=(*line.words, *more.get(line.name, ()))) for line in self.lines)
        )

    def check_data(self, data: Path) -> None:
        """Refuse a data set that is not there or lacks a file.

        Raises:
            UserError: which one.
        """
        if not data.exists():
            raise UserError(f"`data={data}` does not exist; {self.name} needs a data set, see {self.path}")
        for name in self.needs:
            if not (data / name).exists():
                raise UserError(f"`data={data}` has no {name}, which {self.name} needs; see {self.path}")


def find_system(name: str) -> Path:
    """The file of a system: a path, or the name of one in ``configs``.

    Raises:
        UserError: there is none; the line names those that are there.
    """
    path = find_config(name)
    if path.is_file():
        return path
    known = sorted(path.stem for path in CONFIGS.glob("*.yaml") if "\ncommands:" in path.read_text(encoding="utf-8"))
    near = nearest(Path(name).stem, known) if known else ""
    raise UserError(f"{name} does not exist; configs/ has {', '.join(known)} (the nearest is {near})")


def find_config(name: str | Path) -> Path:
    """A file, or the one of ``configs`` that is meant: ``grid`` and ``configs/grid.yaml`` are there in any folder.

    What is neither is returned as it is.
    """
    path = Path(name)
    below = path.relative_to("configs") if path.parts[:1] == ("configs",) else path.with_name(f"{path.name}.yaml")
    return CONFIGS / below if not path.exists() and (CONFIGS / below).is_file() else path


def read_system(path: Path, verbs: Collection[str]) -> System:
    """Read a YAML file.

    Args:
        path: of the file.
        verbs: the commands that there are.

    Raises:
        UserError: no YAML, an unknown key, a line that is none, or a command that does not exist.
    """
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise UserError(f"{path} describes no system; expected 'commands:' with a name and a command line each")
    for key in content:
        if key not in _KEYS:
            raise UserError(f"{path}: unknown key {key!r}; the nearest is {nearest(str(key), _KEYS)!r}")
    texts = _texts(content.get("commands"), f"{path}, commands")
    if not texts:
        raise UserError(f"{path} describes no system; expected 'commands:' with a name and a command line each")
    lines = []
    for name, text in texts.items():
        verb, *words = _split(text, f"{path}, {name}") or [""]
        if verb not in verbs:
            near = nearest(verb, verbs)
            raise UserError(f"{path}, {name}: there is no command {verb!r}; the nearest is {near!r}")
        lines.append(Line(name, verb, tuple(words)))
    needs = content.get("needs") or []
    return System(path, tuple(lines), _texts(content.get("quick"), f"{path}, quick"), tuple(map(str, needs)))


def parse_changes(texts: list[str]) -> dict[str, str]:
    """``NAME=WORDS`` as given on the command line, those of one name joined.

    Raises:
        UserError: no ``=``.
    """
    changes: dict[str, str] = {}
    for text in texts:
        name, equals, words = text.partition("=")
        if not equals or not words.lstrip().startswith("-"):
            raise UserError(f"`set={text}`: expected NAME='--OPTION VALUE', such as model='--epochs 3'")
        changes[name.strip()] = f"{changes.get(name.strip(), '')} {words}".strip()
    return changes


def _texts(content: Any, where: str) -> dict[str, str]:
    """A mapping of names to texts; empty where there is none."""
    content = {} if content is None else content
    if not isinstance(content, dict) or not all(isinstance(text, str) for text in content.values()):
        raise UserError(f"{where}: expected a name and a command line each, such as model: train $out/features")
    return {str(name): text for name, text in content.items()}


def _split(text: str, where: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise UserError(f"{where}: {text!r} is not a command line ({error})") from None
