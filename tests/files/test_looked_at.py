"""A file that was looked at is known again as long as nobody changed it; a note that is worth nothing does no harm."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.files.looked_at import KIND, LookedAt, state_of
from pipeline.files.user_cache import VARIABLE


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / "data" / "a.h5"
    path.parent.mkdir()
    path.write_bytes(b"good")
    return path


def looked_at(file: Path, checks: str = "1") -> LookedAt:
    """As a process that looks at the file and ends."""
    found = LookedAt(file.parent, checks)
    found.add(file, state_of(file))
    found.keep({file.name})
    return found


def knows(file: Path, checks: str = "1") -> bool:
    """As a process that starts."""
    return LookedAt(file.parent, checks).knows(file)


def test_the_next_process_knows_it(file):
    assert not knows(file)
    looked_at(file)
    assert knows(file)


def test_a_file_that_was_changed_is_not_known_even_where_size_and_time_are_as_before(file):
    looked_at(file)
    before = file.stat()
    with file.open("r+b") as opened:
        opened.write(b"evil")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = file.stat()
    assert (after.st_size, after.st_mtime_ns, after.st_ino) == (before.st_size, before.st_mtime_ns, before.st_ino)
    assert not knows(file)


def test_another_file_of_the_name_is_not_known(file):
    looked_at(file)
    other = file.with_name("b")
    other.write_bytes(b"good")
    other.replace(file)
    assert not knows(file)


def test_other_checks_begin_anew(file):
    looked_at(file, "1")
    assert not knows(file, "2")


def test_a_file_that_is_gone_is_forgotten(file):
    looked_at(file).keep(set())
    assert not knows(file)
    file.unlink()
    looked = looked_at(file)
    assert not looked.knows(file)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"checks": "1", "files": []}', "{" * 9999, '{"checks": "1"'])
def test_rubbish_is_no_note(file, cache, text):
    looked_at(file)
    (note,) = (cache / KIND).iterdir()
    note.write_text(text)
    assert not knows(file)
    looked_at(file)
    assert knows(file)


def test_a_folder_cannot_vouch_for_itself(file, cache):
    """Notes lie elsewhere, so a store of strangers that brings some is looked at."""
    looked_at(file)
    (cache / KIND).rename(file.parent / KIND)
    assert not knows(file)


def test_without_a_cache_it_goes_on(file, tmp_path, monkeypatch):
    (tmp_path / "taken").write_text("a file")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "taken" / "cache"))
    looked_at(file)
    assert not knows(file)
