"""Every benchmark opens: what it imports is there by that name, and its help says how it is called."""

from __future__ import annotations

import importlib
import re
import subprocess
from pathlib import Path

import pytest

from benchmarks.__main__ import Bound, main, read_floors

ROOT = Path(__file__).parents[1]
PATHS = sorted(path for path in (ROOT / "benchmarks").rglob("*.py") if "def main(" in path.read_text())
NAMES = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in PATHS]


@pytest.mark.parametrize("name", NAMES)
def test_help_opens(name, capsys):
    module = importlib.import_module(name)
    with pytest.raises(SystemExit) as ended:
        module.main(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert name.removesuffix(".__main__") in text.partition("example:")[2].split()
    assert module.__doc__ in text


def test_every_bound_is_of_a_benchmark_that_is_there_and_finds_one_number(capsys):
    floors = read_floors()
    for line, bounds in floors.items():
        name, *words = line.split()
        assert name in NAMES
        with pytest.raises(SystemExit):
            importlib.import_module(name).main(["--help"])
        known = capsys.readouterr().out
        assert all(word in known for word in words if word.startswith("--")), line
        for bound in bounds:
            assert re.compile(bound.pattern).groups == 1
            assert (bound.least is None) != (bound.most is None)
    assert Bound("", "", least=2).holds(2)
    assert not Bound("", "", least=2).holds(1.9)
    assert not Bound("", "", most=2).holds(2.1)


@pytest.mark.parametrize(
    ("printed", "status", "expected", "said"),
    [
        ("7 over 6: 0 wrong\ncodecs: 0 wrong", 0, 0, "0"),
        ("codecs: 3 wrong", 0, 1, "3"),
        ("codecs: 0 wrong", 1, 1, "none"),
        ("", 0, 1, "none"),
    ],
)
def test_a_figure_beyond_its_bound_fails(printed, status, expected, said, monkeypatch, capsys):
    asked = []

    def run(words, **options):
        asked.append(words)
        return subprocess.CompletedProcess(words, status, printed)

    monkeypatch.setattr(subprocess, "run", run)
    assert main(["videos.random_frames"]) == expected
    ((_, *words),) = asked
    assert words[:2] == ["-m", "benchmarks.videos.random_frames"]
    figure, bound, *beyond = capsys.readouterr().out.splitlines()[1].rpartition("requests")[2].split(maxsplit=1)
    assert figure == said
    assert bound.startswith("<= 0")
    assert bound.endswith("BEYOND") == bool(expected), beyond
