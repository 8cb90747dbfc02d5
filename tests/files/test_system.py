"""What is done on Windows and what is done elsewhere, both gone through on whatever this is."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.files import system
from pipeline.files.appending import append_rows
from pipeline.files.atomic import atomic_write
from pipeline.files.locking import only_writer
from pipeline.videos.labels.segments import check_label


@pytest.fixture(params=[False, True], ids=["elsewhere", "Windows"])
def windows(request, monkeypatch) -> bool:
    monkeypatch.setattr(system, "WINDOWS", request.param)
    return request.param


def test_files_are_written_and_replaced(windows, tmp_path):
    for text in ("old", "new"):
        with atomic_write(tmp_path / "a.txt") as temporary:
            temporary.write_text(text)
        assert (tmp_path / "a.txt").read_text() == text
    assert len(list(tmp_path.iterdir())) == 1


def test_a_file_that_another_program_holds_is_waited_for_on_windows(windows, tmp_path, monkeypatch):
    (tmp_path / "new").write_text("new")
    tried, real = [], os.replace

    def held(source, target):
        tried.append(source)
        if len(tried) < 3:
            raise PermissionError(13, "being used by another process")
        real(source, target)

    monkeypatch.setattr(os, "replace", held)
    if windows:
        system.replace(tmp_path / "new", tmp_path / "old")
        assert len(tried) == 3
        assert (tmp_path / "old").read_text() == "new"
    else:
        with pytest.raises(PermissionError):
            system.replace(tmp_path / "new", tmp_path / "old")
        assert len(tried) == 1


def test_one_that_is_held_for_ever_is_an_error(tmp_path, monkeypatch):
    def held(source, target):
        raise PermissionError(13, "being used by another process")

    monkeypatch.setattr(system, "WINDOWS", True)
    monkeypatch.setattr(system, "_HELD", 0.1)
    monkeypatch.setattr(os, "replace", held)
    with pytest.raises(PermissionError, match="used by another"):
        system.replace(tmp_path / "new", tmp_path / "old")


def test_windows_syncs_no_folder_and_only_what_may_be_written_to(windows, tmp_path, monkeypatch):
    opened, real = [], os.open

    def open_(path, flags):
        opened.append((os.path.basename(path), flags))
        return real(path, flags)

    (tmp_path / "a.txt").write_text("x")
    monkeypatch.setattr(os, "open", open_)
    system.sync(tmp_path)
    system.sync(tmp_path / "a.txt")
    expected = [("a.txt", os.O_RDWR)] if windows else [(tmp_path.name, os.O_RDONLY), ("a.txt", os.O_RDONLY)]
    assert opened == expected


def test_a_process_is_alive_until_it_ends():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert system.is_alive(process.pid)
    process.kill()
    process.wait()
    process.stdin.close()
    assert not system.is_alive(process.pid)
    assert system.is_alive(1) or system.WINDOWS  # another user's, or the system's own


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only Linux tells")
def test_a_process_that_nobody_waited_for_has_ended():
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it ends, and stays in the list of processes
    os.kill(process.pid, 0)
    assert not system.is_alive(process.pid)
    process.wait()


class Msvcrt:
    """Windows' locks of one byte, which a file loses when it is closed; ours are closed by the test."""

    LK_LOCK, LK_NBLCK = 1, 2

    def __init__(self) -> None:
        self.held: dict[tuple[int, int], int] = {}

    def locking(self, handle: int, mode: int, count: int) -> None:
        key = os.fstat(handle).st_ino, os.lseek(handle, 0, os.SEEK_CUR)
        if self.held.setdefault(key, handle) != handle:
            raise PermissionError(errno.EDEADLK if mode == self.LK_LOCK else errno.EACCES, "Permission denied")


@pytest.fixture
def msvcrt(monkeypatch) -> Msvcrt:
    fake = Msvcrt()
    monkeypatch.setitem(sys.modules, "msvcrt", fake)
    return fake


def test_one_writer_at_a_time(windows, msvcrt, tmp_path):
    with only_writer(tmp_path / "run"):
        with pytest.raises(UserError, match="another run is writing"), only_writer(tmp_path / "run"):
            pass
        with only_writer(tmp_path / "other"):
            pass
    assert bool(msvcrt.held) == windows
    assert list(tmp_path.iterdir()) == []
    msvcrt.held.clear()  # closed
    with only_writer(tmp_path / "run"):
        pass


def test_rows_are_added_where_they_belong_whatever_is_locked(windows, msvcrt, tmp_path):
    table = tmp_path / "rows.csv"
    for number in range(3):
        append_rows(table, ["a", "b"], [{"a": number, "b": "x"}])
        msvcrt.held.clear()
    assert table.read_text() == "a,b\n0,x\n1,x\n2,x\n"


def test_a_table_that_stays_locked_is_written_all_the_same(msvcrt, tmp_path, monkeypatch):
    table = tmp_path / "rows.csv"
    table.write_text("a\n0\n")
    monkeypatch.setattr(system, "WINDOWS", True)
    msvcrt.held[(table.stat().st_ino, system._LOCKED_BYTE)] = -1
    append_rows(table, ["a"], [{"a": 1}])
    assert table.read_text() == "a\n0\n1\n"


class Kernel:
    """What the Windows API says of processes: one that lives, one that ended with a status, one of another user."""

    asked: list[int]
    closed = 0

    def OpenProcess(self, access, inherit, pid):
        self.pid = pid
        return 0 if pid in (3, 4) else 1000 + pid

    def GetLastError(self):
        return {3: 87, 4: 5}[self.pid]

    def GetExitCodeProcess(self, process, code):
        code._obj.value = {1001: 259, 1002: 1}[process]
        return 1

    def CloseHandle(self, process):
        self.closed += 1


def test_windows_is_asked_and_no_process_is_sent_anything(monkeypatch):
    kernel = Kernel()
    monkeypatch.setattr(system, "WINDOWS", True)
    monkeypatch.setattr(system, "_kernel", lambda: kernel)
    monkeypatch.setattr(os, "kill", lambda *_: pytest.fail("it would be ended"))
    assert [system.is_alive(pid) for pid in (1, 2, 3, 4)] == [True, False, False, True]
    assert kernel.closed == 2


@pytest.mark.parametrize("label", ["12:30", "What?", "a|b", "ends.", "aux", "Con.old", "a<b"])
def test_labels_that_windows_cannot_name_a_folder_by_are_told_there(windows, label):
    if windows:
        with pytest.raises(UserError, match="cannot name a folder"):
            check_label(label, "line 3")
    else:
        check_label(label, "line 3")


@pytest.mark.parametrize("label", ["a/b", ".hidden", "..", "a\\b"])
def test_others_are_told_everywhere(windows, label):
    with pytest.raises(UserError, match="leave out slashes and leading dots"):
        check_label(label, "line 3")


def test_paths_and_links_from_a_folder(tmp_path, monkeypatch):
    video, folder = tmp_path / "a" / "12:30 #1.mp4", tmp_path / "b"
    assert system.seen_from(folder, video) == "../a/12:30 #1.mp4"
    assert system.link_from(folder, video) == "./../a/12%3A30%20%231.mp4"

    def other_drive(path, start):
        raise ValueError("path is on mount 'D:', start on mount 'C:'")

    monkeypatch.setattr(os.path, "relpath", other_drive)
    assert system.seen_from(folder, video) == video.as_posix()
    assert system.link_from(folder, video) == video.as_uri()
