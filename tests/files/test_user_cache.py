"""The user's cache folder: whole entries, bounded, and never a reason to stop."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.files.user_cache import VARIABLE, UserCache, cache_folder

FACTS = {"network": "tiny", "size": [32, 32]}


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def lines():
    return []


def write(text: str, size: int = 0):
    def into(folder: Path) -> None:
        (folder / "a.txt").write_text(text)
        (folder / "b.bin").write_bytes(bytes(size))

    return into


def test_an_entry_is_found_by_what_it_depends_on(place, lines):
    cache = UserCache(lines.append)
    assert cache.find("networks", FACTS) is None
    kept = cache.keep("networks", FACTS, write("one"))
    assert kept == cache.find("networks", dict(reversed(FACTS.items())))
    assert (kept / "a.txt").read_text() == "one"
    assert cache.find("networks", FACTS | {"size": [64, 64]}) is None
    assert cache.find("others", FACTS) is None
    cache.keep("networks", FACTS, write("two"))  # another process was faster
    assert (cache.find("networks", FACTS) / "a.txt").read_text() == "one"
    cache.forget("networks", FACTS)
    assert cache.find("networks", FACTS) is None
    assert lines == []


def cut_short(folder: Path) -> None:
    (folder / "b.bin").write_bytes(b"")


def changed(folder: Path) -> None:
    (folder / "a.txt").write_text("eno")  # of the same length


def half_written(folder: Path) -> None:
    (folder / "digests.json").unlink()


def not_json(folder: Path) -> None:
    (folder / "digests.json").write_bytes(b"\xff[1")


def a_file(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    folder.write_text("rubbish")


@pytest.mark.parametrize("spoil", [cut_short, changed, half_written, not_json, a_file])
def test_rubbish_is_one_line_and_made_anew(spoil, place, lines):
    cache = UserCache(lines.append)
    spoil(cache.keep("networks", FACTS, write("one", 100)))
    assert cache.find("networks", FACTS) is None
    assert len(lines) == 1
    assert "is damaged; it is made anew" in lines[0]
    kept = cache.keep("networks", FACTS, write("two"))
    assert cache.find("networks", FACTS) == kept
    assert (kept / "a.txt").read_text() == "two"


def test_a_writer_that_fails_leaves_nothing(place):
    def fail(folder: Path) -> None:
        (folder / "a.txt").write_text("half")
        raise ValueError

    with pytest.raises(ValueError):
        UserCache().keep("networks", FACTS, fail)
    assert list((place / "networks").iterdir()) == []


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path, monkeypatch, lines):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "file" / "cache"))
    cache = UserCache(lines.append)
    for number in range(2):
        assert cache.find("networks", number) is None
        assert cache.keep("networks", number, write("one")) is None
    assert len(lines) == 1
    assert (
        f"cannot be written (Not a directory), so that every start takes longer; the environment's {VARIABLE}"
        in (lines[0])
    )


def test_what_was_not_used_for_long_makes_room(place):
    cache = UserCache(most=2500)
    kept = [cache.keep("networks", number, write("x", 1000)) for number in range(2)]
    for age, folder in enumerate(kept):
        os.utime(folder, (1e9 + age, 1e9 + age))
    assert cache.find("networks", 0) == kept[0]  # used now
    cache.keep("networks", 2, write("x", 1000))
    assert [cache.find("networks", number) is not None for number in range(3)] == [True, False, True]
    UserCache(most=10).keep("networks", 3, write("x", 1000))  # the newest one stays, however large
    assert [cache.find("networks", number) is not None for number in range(4)] == [False, False, False, True]


def test_a_file_that_a_library_keeps_there_makes_room_too(place):
    compiled = place / "jax" / "compiled"
    compiled.parent.mkdir(parents=True)
    compiled.write_bytes(bytes(3000))
    os.utime(compiled, (1e9, 1e9))
    kept = UserCache(most=2500).keep("networks", 1, write("x", 1000))
    assert not compiled.exists()
    assert kept == UserCache().find("networks", 1)


@pytest.mark.parametrize(
    ("platform", "environment", "expected"),
    [
        ("linux", {"XDG_CACHE_HOME": "/x"}, "/x/video-pipeline"),
        ("linux", {}, "/home/me/.cache/video-pipeline"),
        ("darwin", {}, "/home/me/Library/Caches/video-pipeline"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/video-pipeline"),
        ("linux", {VARIABLE: "~/mine"}, "/home/me/mine"),
    ],
)
def test_each_system_has_its_place(platform, environment, expected, monkeypatch):
    for name in (VARIABLE, "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": "/home/me", **environment}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("pipeline.files.user_cache.sys.platform", platform)
    assert cache_folder() == Path(expected)
