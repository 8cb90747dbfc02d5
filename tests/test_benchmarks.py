"""Every benchmark opens: what it imports is there by that name, and its help says how it is called."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

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
