"""A field of a dataclass becomes an option, a value of it, a YAML key; a mistake is one line that names the option."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from pipeline.cli.fields import add_options, from_args, given, options_of
from pipeline.cli.parser import Parser
from pipeline.errors import UserError
from pipeline.videos.media.sampling import Sampling


def layers(text: str) -> int:
    """``all`` is -1."""
    if text == "none":
        raise UserError("`trainable='none'` is 0")
    return -1 if text == "all" else int(text)


@dataclass(frozen=True)
class Noise:
    noise: float = 0.0
    """Standard deviations."""
    power: int = 1
    """H.264 stays as it is."""


@dataclass(frozen=True)
class Spec:
    """Things to choose."""

    units: int
    """Width of the hidden layers. More is 50 % slower.

    For those who read the code."""
    learning_rate: float | None = None
    """At the start, `float` or ``None``."""
    pooling: Literal["avg", "max"] = "avg"
    sampling: Sampling = field(default_factory=lambda: Sampling("all"))
    """Which frames."""
    balance: bool = False
    """Whether rare classes weigh more."""
    sound: bool = True
    """Keep the sound."""
    bidirectional: bool = field(default=True, metadata={"name": "unidirectional"})
    """Read forwards only."""
    trainable: int | None = field(default=None, metadata={"parse": layers, "metavar": "LAYERS"})
    reuse: float = field(default=0.0, metadata={"const": 2.0})
    shares: tuple[float, float] = (0.5, 0.5)
    files: tuple[Path, ...] = ()
    varied: Noise = field(default_factory=Noise)


def make(**options) -> Parser:
    made = Parser("What it does.", "python scripts/do.py")
    add_options(made, Spec, **options)
    return made


def read(*words: str, **options) -> Spec:
    return from_args(Spec, make(**options).parse_args(list(words)))


def test_what_is_not_given_is_the_dataclass_own_default():
    assert read("--units", "3") == Spec(3)


def test_each_type_is_read_as_the_field_has_it():
    words = "--units 3 --learning-rate 1e-3 --pooling max --sampling uniform:20 --balance --no-sound --unidirectional"
    words += " --trainable all --reuse --shares 0.2 0.8 --files a b --noise 0.1"
    varied = Noise(0.1)
    files = (Path("a"), Path("b"))
    assert read(*words.split()) == Spec(
        3, 1e-3, "max", Sampling("uniform", 20), True, False, False, -1, 2.0, (0.2, 0.8), files, varied
    )


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("--units few", "--units: 'few' is not a whole number"),
        ("--units 1.5", "--units: '1.5' is not a whole number"),
        ("--units 1 --learning-rate fast", "--learning-rate: 'fast' is not a number"),
        ("--units 1 --pooling mid", "--pooling: 'mid' is not one of avg, max"),
        ("--units 1 --sampling some", "--sampling: sampling 'some' is unknown; expected uniform:N, .*"),
        ("--units 1 --trainable few", "--trainable: 'few' is not a whole number"),
        ("--units 1 --trainable none", "`trainable='none'` is 0"),
        ("--units 1 --shares 0.5", "--shares: expected 2 arguments"),
        ("--units", "--units: expected one argument"),
        ("", "the following arguments are required: --units"),
        ("--units 1 --unit 2", "there is no option --unit; did you mean --units.?"),
        ("--units 1 --learning_rate=2", "there is no option --learning_rate; did you mean --learning-rate.?"),
        ("--units 1 more", "'more' is one argument too many; .*"),
    ],
)
def test_a_wrong_call_is_one_line(words, line):
    with pytest.raises(UserError, match=rf"\A{line}\Z"):
        read(*words.split())


def test_the_help_is_the_first_paragraph_below_the_field_and_shows_defaults():
    text = " ".join(make(group="what is learnt", leave_out=["shares"]).format_help().split())
    assert "what is learnt: --units N width of the hidden layers. More is 50 % slower." in text.replace(
        "Width", "width"
    )
    assert "For those who read the code" not in text
    assert "--learning-rate X at the start, float or None --pooling" in text
    assert "--pooling {avg,max}" in text
    assert "--sampling SAMPLING which frames (default: all)" in text
    assert "--trainable LAYERS" in text
    assert "--noise X standard deviations --power N H.264 stays as it is (default: 1)" in text
    assert "--shares" not in text
    assert "example: python scripts/do.py" in text


def test_one_title_is_one_group():
    made = Parser("What it does.", "python scripts/do.py")
    add_options(made, Spec, group="same", only=["units"])
    add_options(made, Noise, group="same")
    assert made.format_help().count("same:") == 1


def test_other_defaults_tell_what_was_given():
    args = make(only=["units", "pooling"], defaults={"units": None, "pooling": None}).parse_args(["--pooling", "max"])
    assert given(Spec, args) == {"pooling": "max", "varied": Noise()}
    assert from_args(Spec, args, units=8, pooling="avg") == Spec(8)


def test_a_line_of_the_library_speaks_of_options():
    made = make()
    made.add_argument("--overwrite", action="store_true")
    assert made.spoken("`units=0`: expected 1 or more") == "--units 0: expected 1 or more"
    assert made.spoken("x exists; `overwrite=True` replaces it") == "x exists; --overwrite replaces it"
    assert made.spoken("leave out `bidirectional=False`") == "leave out --unidirectional"
    assert made.spoken("`stride_seconds` needs `learning_rate`") == "`stride_seconds` needs --learning-rate"


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("units", 3, 3),
        ("units", 3.0, 3),
        ("learning_rate", 1, 1.0),
        ("learning_rate", "1e-3", 1e-3),  # as YAML 1.1 reads it
        ("pooling", "max", "max"),
        ("balance", True, True),
        ("trainable", "all", -1),
        ("trainable", 9, 9),
        ("sampling", "fps:2", Sampling("fps", 2)),
    ],
)
def test_a_value_of_yaml_is_read_by_the_type_of_the_field(name, value, found):
    result = options_of(Spec)[name].read(value)
    assert result == found
    assert type(result) is type(found)


@pytest.mark.parametrize(
    ("name", "value"),
    [("units", True), ("units", 1.5), ("learning_rate", "fast"), ("pooling", 3), ("balance", 1), ("balance", "yes")],
)
def test_a_value_of_another_type_is_refused(name, value):
    with pytest.raises(UserError, match="is not"):
        options_of(Spec)[name].read(value)


def test_a_type_that_cannot_be_an_option_is_told_to_the_programmer():
    @dataclass(frozen=True)
    class Odd:
        values: dict

    with pytest.raises(TypeError, match="cannot be an option"):
        options_of(Odd)


def test_adding_options_imports_no_heavy_library():
    code = (
        "import sys, pipeline.cli.fields; print(sorted({'numpy', 'pandas', 'keras', 'tensorflow'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
