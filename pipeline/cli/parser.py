"""The parser of every command: its help has an example, and a mistake is one line that names the nearest option."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from pipeline.errors import UserError
from pipeline.version import VERSION

_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")
_FIELD = re.compile(r"`(\w+)(?:=([^`]*))?`")


class Parser(argparse.ArgumentParser):
    """A parser whose help is the docstring of a command and an example, or a few on lines of their own.

    It has ``--quiet``, ``--verbose`` and ``--version``, which every command takes. A command that is called wrongly
    ends in a `UserError` instead of twenty lines of usage.

    Args:
        doc: what the command does.
        example: how it is called.
    """

    def __init__(self, doc: str | None, example: str) -> None:
        super().__init__(
            description=(doc or "").strip(),
            epilog=f"example:\n  {example}",
            formatter_class=_HelpFormatter,
            allow_abbrev=False,
        )
        self.flags: dict[str, str] = {}
        """Options by the field they set, where `pipeline.cli.fields` made them."""
        self._groups: dict[str, Any] = {}
        self.add_argument("--quiet", action="store_true", help="print errors only")
        self.add_argument("--version", action="version", version=f"video-pipeline {VERSION}")
        self.add_argument("--verbose", action="store_true", help="let the libraries print their own messages too")

    def group(self, title: str) -> Any:
        """The group of this title in the help; made where there is none."""
        if title not in self._groups:
            self._groups[title] = self.add_argument_group(title)
        return self._groups[title]

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """The options and arguments.

        Raises:
            UserError: the command was called wrongly.
        """
        parsed, unknown = self.parse_known_args(args, namespace)
        if not unknown:
            return parsed
        options = [word.partition("=")[0] for word in unknown if word.startswith("--")]
        if not options:
            self.error(f"{unknown[0]!r} is one argument too many; --help shows how it is called")
        self.error(f"there is no option {options[0]}; did you mean {nearest(options[0], self._options())}?")

    def error(self, message: str) -> NoReturn:
        """Called by argparse; what was wrong with the command line."""
        text = message.removeprefix("argument ")
        reason = text.partition(": ")[2]
        raise UserError(reason if reason.startswith("`") else text)  # a field that is named stands for the option

    def spoken(self, text: str) -> str:
        """A line of the library with the options of this command in the place of its fields.

        The library names fields as Python does, in backquotes: ```units=0`: expected 1 or more`` is
        ``--units 0: expected 1 or more`` here, and ```overwrite=True``` is ``--overwrite``. Names that are not
        an option of this command stay as they are.
        """
        options = self._options()

        def option(match: re.Match[str]) -> str:
            name, value = match[1], match[2]
            flag = self.flag_of(name)
            if flag not in options:
                return match[0]
            return flag if value in (None, "True", "False") else f"{flag} {value}"

        return _FIELD.sub(option, text)

    def flag_of(self, field: str) -> str:
        """The option that sets a field, or that sets what is called so in the arguments."""
        return self.flags.get(field, f"--{field.replace('_', '-')}")

    def _options(self) -> set[str]:
        return set(_OPTION.findall(self.format_usage()))


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Keeps the layout of docstring and example, and shows default values."""

    def _get_help_string(self, action: argparse.Action) -> str:
        text = action.help or ""
        if (
            action.default is not True
            and action.default not in (None, False, "", argparse.SUPPRESS)
            and action.default not in ([], ())
            and "%(default)" not in text
            and action.option_strings
        ):
            text += " (default: %(default)s)"
        return text


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word that is most like another."""
    return difflib.get_close_matches(word, sorted(known), n=1, cutoff=0)[0]
