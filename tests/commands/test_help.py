"""The help of every command: readable, with an example, and with no empty default."""

import importlib
import re
from pathlib import Path

import pytest

SCRIPTS = sorted(path.stem for path in Path("scripts").glob("*.py"))


@pytest.mark.parametrize("name", SCRIPTS)
def test_help_has_an_example_and_shows_no_empty_default(name):
    text = importlib.import_module(f"scripts.{name}").parser().format_help()
    assert re.search(rf"example:\n  .*scripts/{name}\.py", text)
    assert "(default: )" not in text
    assert "(default: [])" not in text


@pytest.mark.parametrize("name", ["extract_features", "train", "classify"])
def test_the_long_helps_are_grouped(name):
    text = importlib.import_module(f"scripts.{name}").parser().format_help()
    ungrouped = text.partition("\noptions:\n")[2].partition("\n\n")[0]
    flags = set(re.findall(r"^  (--[a-z-]+)", ungrouped, re.MULTILINE))
    assert flags <= {"--quiet", "--verbose", "--out", "--overwrite", "--seed"}
