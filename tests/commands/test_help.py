"""The help of every command: readable, with an example, and with no empty default."""

import re
import subprocess
import sys

import pytest

from pipeline import commands

VERBS = {module.rpartition(".")[2]: verb for verb, (module, _) in commands.VERBS.items()}


def help_of(script: str) -> str:
    return commands.load(VERBS[script]).parser().format_help()


@pytest.mark.parametrize("name", VERBS)
def test_help_has_an_example_and_shows_no_empty_default(name):
    text = help_of(name)
    assert re.search(rf"example:\n  .*scripts/{name}\.py", text)
    assert "(default: )" not in text
    assert "(default: [])" not in text


@pytest.mark.parametrize("name", ["extract_features", "train", "classify"])
def test_the_long_helps_are_grouped(name):
    text = help_of(name)
    ungrouped = text.partition("\noptions:\n")[2].partition("\n\n")[0]
    flags = set(re.findall(r"^  (--[a-z-]+)", ungrouped, re.MULTILINE))
    assert flags <= {"--quiet", "--verbose", "--version", "--out", "--overwrite", "--seed"}


HEAVY = {
    "av",
    "cv2",
    "h5py",
    "jinja2",
    "keras",
    "matplotlib",
    "numpy",
    "openvino",
    "pandas",
    "scipy",
    "sklearn",
    "tensorflow",
}


def test_help_waits_for_no_heavy_library():
    """They take from a quarter of a second to many; all helps together, in one fresh process."""
    code = (
        "import sys\nfrom pipeline.commands import VERBS, load\n"
        f"for verb in VERBS:\n    load(verb).parser().format_help()\n    print(verb, *({HEAVY!r} & set(sys.modules)))"
    )
    lines = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert [line for line in lines.splitlines() if " " in line] == []
    assert len(lines.splitlines()) == len(VERBS)
