"""Workers: what goes wrong in one of them costs its job only, and none is left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.errors import UserError, VideoError
from pipeline.parallel import worker_process
from pipeline.parallel.workers import Ended, OneWorker, WorkerPool, crash_name, run_each
from tests.parallel import tasks

pytestmark = pytest.mark.posix
ROOT = Path(__file__).parents[2]


def gone(pid: int) -> bool:
    """Whether a process ended within some seconds."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":  # nobody has asked for its status yet
            return True
        time.sleep(0.02)
    return False


def all_of(pool: WorkerPool) -> dict:
    """Everything that a pool tells, by job."""
    told: dict = {}
    with pool:
        for key, value in pool.messages():
            told.setdefault(key, []).append(value)
    return told


@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize("ordered", [False, True])
def test_every_job_tells_all_it_has_to_say(workers, ordered):
    jobs = [(f"job{number}", (number,)) for number in range(8)]
    told = all_of(WorkerPool(tasks.count, jobs, workers=workers, ordered=ordered))
    assert told == {f"job{number}": [*range(number), Ended()] for number in range(8)}


def test_ordered_jobs_come_one_after_another():
    seconds = [0.4, 0.0, 0.2, 0.0, 0.0]
    with WorkerPool(tasks.slowly, [(n, (s, 1)) for n, s in enumerate(seconds)], workers=3, ordered=True) as pool:
        assert [key for key, _ in pool.messages()] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


def test_jobs_come_as_they_are_done_where_order_does_not_matter():
    jobs = [("slow", (1.5, 1)), ("fast", (0.0, 1)), ("faster", (0.0, 1))]
    assert [key for key, _ in run_each(tasks.slowly, jobs, workers=2)][-1] == "slow"


def test_arrays_arrive_whole_and_may_be_written_to():
    shapes = [(3, 4), (0, 5), (2000, 1500, 3), (1,)]
    told = all_of(WorkerPool(tasks.arrays, [("a", (shapes,))], workers=1, read_ahead=1))["a"]
    assert [name for name, *_ in told[:-1]] == ["0", "1", "2", "3"]
    for number, (_, image, turned) in enumerate(told[:-1]):
        assert image.shape == turned.shape == shapes[number]
        assert (image == number).all()
        assert (turned == number).all()
        image[...] = 7


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("hang", "the decoder hung: no sign of life for 1 s"),
        ("hang in C", "the decoder hung: no sign of life for 1 s"),
        ("segfault", "the decoder crashed (SIGSEGV) after "),
        ("killed", "the decoder crashed (SIGKILL) after "),
        ("exit", "the decoder stopped with status 9"),
        ("bug", "the decoder stopped with status 1 (KeyError: 'nothing of this name')"),
        ("video", "no video stream"),
    ],
)
def test_what_goes_wrong_costs_its_job_only(kind, reason):
    jobs = [(name, (name,)) for name in ("good", kind, "well", "fine")]
    told = all_of(WorkerPool(tasks.trouble, jobs, workers=1, timeout=1.0))
    assert {name: len(values) for name, values in told.items()} == dict.fromkeys(told, 2)
    assert told[kind][1].error.stage == ("open" if kind == "video" else "decode")
    assert told[kind][1].error.reason.startswith(reason)
    assert all(told[name][1] == Ended() for name in told.keys() - {kind})
    same = told["good"][0] == told["fine"][0]
    assert same == (kind == "video"), "a worker that died is replaced, and one that works is kept"
    assert all(gone(values[0]) for values in told.values())


@pytest.mark.parametrize(
    ("status", "name"), [(-11, "SIGSEGV"), (-200, ""), (3221225477, "0xC0000005"), (9, ""), (0, "")]
)
def test_a_crash_has_a_name_on_every_system(status, name):
    assert crash_name(status) == name


@pytest.mark.parametrize("error", [TypeError("no name"), AttributeError("prctl"), OSError("not found")])
def test_a_system_that_does_not_end_children_with_their_parent_is_taken_as_it_is(error, monkeypatch):
    """On Windows and macOS the end of its input ends a worker; `test_workers_end_with_their_parent` looks at that."""

    def library(name):
        raise error

    monkeypatch.setattr(worker_process.ctypes, "CDLL", library)
    worker_process._end_with_parent()


@pytest.mark.parametrize("workers", [0, 2])
def test_mistakes_of_the_user_are_raised(workers):
    with pytest.raises(UserError, match="--stride 0"):
        all_of(WorkerPool(tasks.trouble, [("user", ("user",)), ("x", ("x",))], workers=workers))


def test_in_this_process_a_video_that_fails_costs_itself_only():
    found = dict(run_each(tasks.trouble, [(kind, (kind,)) for kind in ("video", "good")], workers=0))
    assert isinstance(found["video"], VideoError)
    assert found["good"] == os.getpid()


def test_signs_of_life_keep_a_slow_task_alive():
    jobs = [("silent", (3.0, 1)), ("alive", (0.4, 8))]
    found = dict(run_each(tasks.slowly, jobs, workers=2, timeout=2.0))
    assert found["alive"] == "done"
    assert "hung: no sign of life for 2 s" in str(found["silent"])


def test_somebody_who_waits_is_woken():
    with WorkerPool(tasks.slowly, [("a", (0.7, 1))], workers=1) as pool:
        told = list(pool.messages(patience=0.1))
    assert told.count(None) > 1
    assert told[-1] == ("a", Ended())


def test_what_is_printed_does_not_get_between_the_messages(capfd):
    told = all_of(WorkerPool(tasks.trouble, [("a", ("noise",)), ("b", ("good",))], workers=1))
    assert told["a"][1:] == [0, Ended()]
    assert told["b"][1:] == [Ended()]
    assert capfd.readouterr() == ("", "")


def test_workers_wait_for_whoever_takes_the_messages():
    """Eight messages of 4 MB, of which two may wait in our memory and a part of one in the pipe."""
    with WorkerPool(tasks.sized, [("a", (8, 4 << 20))], workers=1, read_ahead=9 << 20) as pool:
        messages = pool.messages()
        next(messages)
        time.sleep(1.0)
        taken = time.time()
        begun = [value[0] for _, value in messages if not isinstance(value, Ended)]
    assert len([moment for moment in begun if moment < taken]) <= 4
    assert len(begun) == 7


def test_a_job_that_waits_for_its_turn_does_not_fill_the_memory():
    jobs = [("slow", (1.0, 1)), *(((number), (0.0, 1)) for number in range(2000))]
    with WorkerPool(tasks.slowly, jobs, workers=2, ordered=True, read_ahead=100_000) as pool:
        messages = pool.messages()
        assert next(messages) == ("slow", "done")
        assert sum(len(queue) for queue in pool._waiting.values()) <= 110
        assert sum(1 for _ in messages) == 4001


def test_leaving_early_leaves_no_process():
    pids = []
    for _, value in run_each(tasks.trouble, [(n, ("good",)) for n in range(100)], workers=2):
        pids.append(value)
        if len(pids) == 3:
            break
    with WorkerPool(tasks.trouble, [(n, ("hang",)) for n in range(3)], workers=3) as pool:
        pids += [next(pool.messages())[1]]
        pids += [next(pool.messages())[1]]
    with contextlib.suppress(ZeroDivisionError), WorkerPool(tasks.trouble, [("a", ("hang",))], workers=1) as pool:
        pids += [next(pool.messages())[1]]
        raise ZeroDivisionError
    with WorkerPool(tasks.trouble, [("a", ("hang",))], workers=1):
        pass  # before anything came
    assert all(map(gone, pids))


PROGRAM = """
from pipeline.parallel.workers import WorkerPool
from tests.parallel import tasks
with WorkerPool(tasks.trouble, [(kind, (kind,)) for kind in ("hang", "hang in C")], workers=2) as pool:
    for key, value in pool.messages():
        print(value, flush=True)
"""


@pytest.mark.parametrize("number", [getattr(signal, "SIGKILL", 9), signal.SIGINT])
def test_workers_end_with_their_parent(number):
    """Also those that hang; a program needs no guarded main."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, text=True
    )
    pids = [int(process.stdout.readline()) for _ in range(2)]
    time.sleep(0.5)
    process.send_signal(number)
    process.communicate(timeout=20)
    if number == signal.SIGKILL and sys.platform != "linux":
        pids = pids[:1]  # nothing can be done in a process whose interpreter hangs
    assert all(map(gone, pids))


def test_nothing_of_the_working_folder_is_imported(tmp_path, monkeypatch):
    for name in ("numpy", "pipeline", "struct", "av", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('hostile')")
    monkeypatch.chdir(tmp_path)
    told = all_of(WorkerPool(tasks.imported, [("a", ())], workers=1))["a"]
    modules, places = told[:2]
    assert told[2] == Ended()
    assert not {"keras", "tensorflow", "h5py", "pandas", "multiprocessing"} & set(modules)
    assert not {"", ".", str(tmp_path)} & set(places)


def test_one_worker_is_kept_from_task_to_task_and_replaced_where_it_died():
    with OneWorker(timeout=2.0) as worker:
        (first,) = worker.run(tasks.process_number)
        assert list(worker.run(tasks.count, 3)) == [0, 1, 2]
        assert list(worker.run(tasks.process_number)) == [first]
        with pytest.raises(VideoError, match=r"the decoder crashed \(SIGSEGV\)"):
            list(worker.run(tasks.trouble, "segfault"))
        assert gone(first)
        with pytest.raises(VideoError, match="no sign of life for 2 s"):
            list(worker.run(tasks.slowly, 30.0, 1))
        assert list(worker.run(tasks.slowly, 1.5, 2)) == ["done"], "it gave signs of life"
        with pytest.raises(UserError):
            list(worker.run(tasks.trouble, "user"))
        (last,) = worker.run(tasks.process_number)
        worker.end()
        assert gone(last)
        assert list(worker.run(tasks.count, 1)) == [0]
        (last,) = worker.run(tasks.process_number)
    assert gone(last)
