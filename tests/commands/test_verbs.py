"""``video-pipeline VERB``: the same commands as in scripts/, found quickly and asked for in one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import commands

ROOT = Path(__file__).parents[2]


def call(*words: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "pipeline", *words]
    return subprocess.run(line, capture_output=True, text=True, cwd=folder, check=False)


def test_every_script_is_a_verb_and_opens_the_same_command():
    modules = {f"pipeline.commands.{module}" for module, _ in commands.VERBS.values()}
    opened = {path.stem: path.read_text() for path in (ROOT / "scripts").glob("*.py")}
    assert sorted(module.rpartition(".")[2] for module in modules) == sorted(opened)
    for verb, (module, _) in commands.VERBS.items():
        text = opened[module.rpartition(".")[2]]
        assert f"`pipeline.commands.{module}`" in text
        assert text.endswith(f'sys.exit(main("{verb}"))\n')


def test_help_names_all_verbs_and_imports_no_command():
    code = "import sys; from pipeline.commands import main; main()\n"
    code += (
        "print([name for name in sys.modules if name.startswith('pipeline.commands.') or name in ('numpy', 'keras')])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    *lines, imported = run.stdout.splitlines()
    assert imported == "[]"
    assert {line.split()[0] for line in lines if line.startswith("  ")} == set(commands.VERBS)


def test_a_verb_is_called_as_its_script_is(tmp_path):
    run = call("list", str(tmp_path / "nowhere"))
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.count("\n") == 1
    assert "nowhere does not exist" in run.stderr
    assert call("list", "--help").stdout.startswith("usage: video-pipeline list ")


@pytest.mark.parametrize("word", ["lists", "--out"])
def test_an_unknown_verb_is_one_line(word):
    run = call(word)
    assert run.returncode == 2
    assert run.stderr.startswith(f"error: there is no command {word!r}; expected one of cut, list, ")
    assert run.stderr.count("\n") == 1
