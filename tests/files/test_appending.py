"""Rows that are added to a table: whole or not at all, whoever wrote before and whatever is left of it."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.files.appending import append_rows

ROOT = Path(__file__).parents[2]
COLUMNS = ("name", "text")


def rows(path: Path) -> list[tuple[str, ...]]:
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        first, *others = csv.reader(file)
    assert first == list(COLUMNS)
    return [tuple(row) for row in others]


def test_a_new_file_has_a_header_and_rows_follow(tmp_path):
    path = tmp_path / "a.csv"
    append_rows(path, COLUMNS, [{"name": "a, b", "text": "c\rd"}])
    append_rows(path, COLUMNS, [{"name": "\udce9", "text": "=1"}, {"name": "f", "text": ""}])
    assert rows(path) == [("a, b", "c\rd"), ("\udce9", "'=1"), ("f", "")]


@pytest.mark.parametrize(
    ("before", "kept"),
    [
        ("", []),
        ("nam", []),
        ("name,text\n", []),
        ("name,text\na,b\nc", [("a", "b")]),
        ("name,text\na,b\nc,d", [("a", "b"), ("c", "d")]),  # as an editor leaves it
        ("name,text\na,b\nc,d\n", [("a", "b"), ("c", "d")]),
    ],
)
def test_half_a_line_goes_and_a_whole_one_without_its_end_stays(tmp_path, before, kept):
    path = tmp_path / "a.csv"
    path.write_text(before)
    append_rows(path, COLUMNS, [{"name": "x", "text": "y"}])
    assert rows(path) == [*kept, ("x", "y")]


@pytest.mark.posix
def test_what_the_system_does_not_take_is_taken_back(tmp_path):
    path = tmp_path / "a.csv"
    append_rows(path, COLUMNS, [{"name": "a", "text": "x" * 900}])
    before = path.read_bytes()
    program = (
        "import resource, sys; from pathlib import Path; from pipeline.files.appending import append_rows\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))\n"
        "append_rows(Path(sys.argv[1]), ('name', 'text'), [{'name': 'b', 'text': 'y' * 900}])"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", program, str(path)], env=environment, capture_output=True, text=True)
    assert "File too large" in done.stderr
    assert path.read_bytes() == before


@pytest.mark.posix
def test_several_processes_append_to_one_file(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("name,text\nhalf")
    program = (
        "import sys; from pathlib import Path; from pipeline.files.appending import append_rows\n"
        "for n in range(50): append_rows(Path(sys.argv[1]), ('name', 'text'), [{'name': sys.argv[2], 'text': n}])"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-c", program, str(path)]
    writers = [subprocess.Popen([*words, name], env=environment) for name in "abc"]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    assert sorted(rows(path)) == sorted((name, str(number)) for name in "abc" for number in range(50))
