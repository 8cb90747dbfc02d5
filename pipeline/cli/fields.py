"""Options of a command from the fields of a dataclass: one field is the API, the option, the YAML key and the setting.

    @dataclass(frozen=True)
    class TrainSpec:
        epochs: int = 100
        "The most epochs."            # --epochs N   the most epochs (default: 100)

The option is the field's name with dashes, its help the first paragraph below the field, its type the field's own:
bool, int, float, str, Path, a Literal, a class with ``parse``, ``X | None``, ``tuple[X, ...]`` or ``tuple[X, X]``.
A field that is such a dataclass itself stands for its own fields. What a type does not say is in
``field(metadata=...)``:

    name      the option's name where it is not the field's; of a bool that is True, the one that turns it off
    help      what the option says where that is not what the field says
    metavar   what stands for the value in the help
    parse     a function that reads the text
    const     the value where the option is given without one
"""

from __future__ import annotations

import argparse
import ast
import functools
import inspect
import re
import textwrap
import types
from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from pipeline.cli.parser import Parser
from pipeline.errors import UserError

Spec = TypeVar("Spec")
_EXPECTED = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", Path: "a path"}
_METAVARS = {int: "N", float: "X"}


@dataclass(frozen=True)
class Option:
    """One field, as the command line and YAML see it."""

    field: str
    name: str
    """As users write it: ``learning-rate``."""
    kind: Any
    """bool, int, float, str, Path, or a class with ``parse``; of one value where there are several."""
    default: Any
    """``dataclasses.MISSING`` where there is none."""
    help: str
    choices: tuple[str, ...] = ()
    """Of a Literal."""
    count: int | Literal["+"] | None = None
    """How many values there are: of a tuple; None for one."""
    parse: Callable[[str], Any] | None = None
    metavar: str = ""
    const: Any = None

    @property
    def flag(self) -> str:
        """``--learning-rate``."""
        return f"--{self.name}"

    @property
    def key(self) -> str:
        """The YAML key: ``learning_rate``; of a bool the field, whose value it is."""
        return self.field if self.kind is bool else self.name.replace("-", "_")

    def read(self, value: Any) -> Any:
        """One value as the field has it, from the text of a command line or from what YAML made of a text.

        Raises:
            UserError: it is of another kind, or not one of the choices.
        """
        fits = isinstance(value, bool) == (self.kind is bool) and isinstance(value, str | int | float)
        if self.parse is None and self.kind is str:
            fits = isinstance(value, str) and (not self.choices or value in self.choices)
        elif self.parse is None and self.kind is int and isinstance(value, float):
            fits = value.is_integer()
        try:
            if fits:
                return self.kind(value) if self.parse is None else self.parse(str(value))
        except UserError:
            raise
        except ValueError:
            pass
        raise UserError(f"{value!r} is not {self.expected}")

    @property
    def expected(self) -> str:
        """What a value must be, in words."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        return _EXPECTED.get(self.kind, f"a {self.kind.__name__.lower()}")


@functools.cache
def options_of(spec: type) -> dict[str, Option]:
    """The options of a dataclass by the names of its fields, those of dataclasses within it in their place."""
    hints, texts = get_type_hints(spec), documentation(spec)
    found: dict[str, Option] = {}
    for item in fields(spec):
        hint = _without_none(hints[item.name])
        if _is_nested(hint):
            found |= options_of(hint)
        else:
            found[item.name] = _option(item, hint, texts.get(item.name, ""))
    return found


def add_options(
    parser: Parser,
    spec: type,
    *,
    group: str = "",
    only: Collection[str] | None = None,
    leave_out: Collection[str] = (),
    defaults: Mapping[str, Any] | None = None,
) -> None:
    """Give a parser the options of a dataclass.

    Args:
        parser: of the command.
        spec: the dataclass.
        group: title of the group in the help; the same title may be used again.
        only: the fields that are options; all if None.
        leave_out: fields that are none here.
        defaults: other defaults by field, such as None to see whether an option was given.
    """
    options, defaults = options_of(spec), defaults or {}
    assert options.keys() >= {*(only or ()), *leave_out, *defaults}, f"{spec.__name__} has no such field"
    target = parser.group(group) if group else parser
    for name, option in options.items():
        if name in leave_out or (only is not None and name not in only):
            continue
        default = defaults.get(name, option.default)
        settings: dict[str, Any] = {"dest": name, "help": option.help.replace("%", "%%")}
        if option.kind is bool:
            settings |= {"action": "store_false" if option.default is True else "store_true", "default": default}
        else:
            settings |= {"type": functools.partial(_read, option), "metavar": option.metavar or _metavar(option)}
            settings |= {"required": True} if default is MISSING else {"default": default}
            if option.const is not None or option.count is not None:
                settings |= {"nargs": "?" if option.count is None else option.count, "const": option.const}
        target.add_argument(option.flag, **settings)
        parser.flags[name] = option.flag


def given(spec: type, args: argparse.Namespace) -> dict[str, Any]:
    """The fields of a dataclass that the command line has a value for; those that are None are left out."""
    found: dict[str, Any] = {}
    for item in fields(spec):
        hint = _without_none(get_type_hints(spec)[item.name])
        value = from_args(hint, args) if _is_nested(hint) else getattr(args, item.name, None)
        if value is not None:
            found[item.name] = tuple(value) if isinstance(value, list) else value
    return found


def from_args(spec: type[Spec], args: argparse.Namespace, **others: Any) -> Spec:
    """A dataclass from the command line; ``others`` are fields that are not options here, and count first."""
    return spec(**{**given(spec, args), **others})


@functools.cache
def documentation(spec: type) -> dict[str, str]:
    """The text below each field of a dataclass, from its source; there is none for fields without."""
    body = ast.parse(textwrap.dedent(inspect.getsource(spec))).body[0]
    assert isinstance(body, ast.ClassDef)
    return {
        item.target.id: inspect.cleandoc(after.value.value)
        for item, after in pairwise(body.body)
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) and isinstance(after.value.value, str)
    }


def _option(item: Field, hint: Any, text: str) -> Option:
    more = dict(item.metadata)
    default = item.default if item.default_factory is MISSING else item.default_factory()
    count: Any = None
    if get_origin(hint) is tuple and "parse" not in more:  # else one text says them all, such as 240x320
        kinds = get_args(hint)
        hint, count = kinds[0], "+" if kinds[-1] is Ellipsis else len(kinds)
    elif get_origin(hint) is tuple:
        hint = get_args(hint)[0]
    choices = get_args(hint) if get_origin(hint) is Literal else ()
    kind = str if choices else hint
    parse = more.pop("parse", None) or getattr(kind, "parse", None)
    if kind not in _EXPECTED and parse is None:
        raise TypeError(f"{item.name}: {hint} cannot be an option; give its metadata a 'parse'")
    name = item.name.replace("_", "-")
    name = more.pop("name", f"no-{name}" if default is True else name)
    return Option(item.name, name, kind, default, more.pop("help", _help(text)), choices, count, parse, **more)


def _help(text: str) -> str:
    """The first paragraph as a help: without marks, it begins small and has no stop where it is one sentence."""
    first = " ".join(re.split(r"\n\s*\n", text)[0].replace("`", "").split())
    first = first.removesuffix(".") if ". " not in first else first
    return first[:1].lower() + first[1:] if first[1:2].islower() or first[1:2] == " " else first


def _metavar(option: Option) -> str:
    if option.choices:
        return "{" + ",".join(option.choices) + "}"
    return _METAVARS.get(option.kind) or option.name.rpartition("-")[2].upper()


def _read(option: Option, text: str) -> Any:
    try:
        return option.read(text)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _without_none(hint: Any) -> Any:
    """``X`` of ``X | None``."""
    if get_origin(hint) not in (Union, types.UnionType):
        return hint
    kinds = [kind for kind in get_args(hint) if kind is not types.NoneType]
    return kinds[0] if len(kinds) == 1 else hint


def _is_nested(hint: Any) -> bool:
    return is_dataclass(hint) and not hasattr(hint, "parse")
