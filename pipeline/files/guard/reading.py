"""JSON and YAML as other people may have written them: of bounded size and depth, and of the kinds that are expected.

values = read_json(path)                  # a regular file, not too large, not nested without an end
spec = record(WindowSpec, values["window"])   # a frozen dataclass, each value of its field's kind
"""

from __future__ import annotations

import functools
import json
import math
import types
from collections.abc import Collection, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from pipeline.errors import UserError
from pipeline.files.guard.regular_file import read_bytes

MOST_JSON = 64 << 20  # bytes
MOST_YAML = 256 << 10
_DEEPEST = 64  # lists and mappings within each other; ours have 5
_LARGEST = 1 << 62  # of a whole number, so that it fits into the arrays of NumPy
_WORDS = {int: "a whole number", float: "a finite number", str: "a text", bool: "true or false", dict: "a mapping"}

Record = TypeVar("Record")


def read_json(path: Path, most: int = MOST_JSON) -> Any:
    """What a JSON file holds.

    Raises:
        Missing: there is no such file.
        UserError: it is no regular file, is too large or too deep, or is not JSON.
    """
    text = read_bytes(path, most)
    try:
        return parse_json(text.decode("utf-8", "surrogateescape"))
    except ValueError as error:
        raise UserError(f"{path} cannot be read ({' '.join(str(error).split())})") from None


def read_object(path: Path, needs: Collection[str] = ()) -> dict[str, Any]:
    """What a JSON file holds that must be an object with some keys.

    Raises:
        Missing: there is no such file.
        UserError: see `read_json`, or it is something else.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise UserError(f"{path} cannot be read (it holds no object)")
    for key in needs:
        if key not in content:
            raise UserError(f"{path} cannot be read ({key!r} is missing)")
    return content


def parse_json(text: str) -> Any:
    """What a JSON text says.

    Raises:
        ValueError: it is not JSON, or nested too deeply.
    """
    try:
        content = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    _check_depth(content)
    return content


def _check_depth(content: Any) -> None:
    level, depth = [content] if isinstance(content, dict | list) else [], 0
    while level:
        depth += 1
        if depth > _DEEPEST:
            raise ValueError("it is nested too deeply")
        inner = [value.values() if isinstance(value, dict) else value for value in level]
        level = [item for items in inner for item in items if isinstance(item, dict | list)]


def read_yaml(path: Path) -> Any:
    """What a YAML file holds; nothing in it can run code, and references (``*name``) are refused, since a short
    text can stand for very many values by them.

    Raises:
        Missing: there is no such file.
        UserError: it cannot be read, is too large or too deep, or is not YAML.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise yaml.YAMLError("references such as *name are not read; write the values out")
            return super().compose_node(parent, index)

    try:
        content = yaml.load(read_bytes(path, MOST_YAML).decode("utf-8-sig"), Loader)
        _check_depth(content)
        return content
    except RecursionError:
        raise UserError(f"{path} is not YAML (it is nested too deeply)") from None
    except UserError:
        raise
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"{path} is not YAML ({' '.join(str(error).split())[:120]})") from None


# -- kinds -----------------------------------------------------------------------------------------


def record(kind: type[Record], values: Any) -> Record:
    """A dataclass from a mapping; every value must be of the kind that its field says.

    Raises:
        UserError: a value means nothing, as the dataclass says itself.
        ValueError: this is no mapping, a key is missing or unknown, or a value is of another kind.
    """
    if not isinstance(values, dict):
        raise ValueError(f"{shown(values)} stands where a {kind.__name__} is expected")
    names = {item.name: item.default is MISSING and item.default_factory is MISSING for item in fields(kind)}  # type: ignore[arg-type]
    if unknown := [name for name in values if name not in names]:
        raise ValueError(f"{shown(unknown[0])} is unknown; was it written by a newer version?")
    if missing := [name for name, needed in names.items() if needed and name not in values]:
        raise ValueError(f"{missing[0]!r} is missing")
    hints = _hints(kind)  # type: ignore[arg-type]
    for name, value in values.items():
        if not _fits(value, hints[name]):
            raise ValueError(f"{name} is {shown(value)}; expected {_words(hints[name])}")
    return kind(**values)


def value_of(values: Mapping[str, Any], key: str, kind: Any) -> Any:
    """One value of a mapping that must be of a kind, such as ``float``, ``list[str]`` or ``dict[str, str]``.

    Raises:
        KeyError: there is none.
        ValueError: it is of another kind.
    """
    if not _fits(values[key], kind):
        raise ValueError(f"{key} is {shown(values[key])}; expected {_words(kind)}")
    return values[key]


def shown(value: Any) -> str:
    """A value in a line of a message: short, whatever it is."""
    if isinstance(value, dict | list):
        return f"a {'mapping' if isinstance(value, dict) else 'list'}"
    if isinstance(value, int) and abs(value) >= _LARGEST:
        return "a huge number"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _fits(value: Any, hint: Any) -> bool:
    origin, inner = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if origin in (Union, types.UnionType):
        return any(_fits(value, one) for one in inner)
    if origin is Literal:
        return isinstance(value, str) and value in inner
    if origin is dict:
        return isinstance(value, dict) and all(_fits(k, inner[0]) and _fits(v, inner[1]) for k, v in value.items())
    if origin in (list, tuple):
        return isinstance(value, list) and all(_fits(item, inner[0]) for item in value)
    if hint in (None, types.NoneType):
        return value is None
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) < _LARGEST
    return isinstance(value, hint)


def _words(hint: Any) -> str:
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join("null" if one is types.NoneType else _words(one) for one in inner)
    if origin is Literal:
        return f"one of {', '.join(map(str, inner))}"
    if origin in (list, tuple):
        return f"a list, each {_words(inner[0])}"
    return _WORDS.get(origin or hint, "another kind of value")
