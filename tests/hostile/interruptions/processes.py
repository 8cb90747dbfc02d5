"""Commands as processes of their own: started, limited, killed; and what they wrote, but for clocks.

``python -m tests.hostile.interruptions.processes`` imports what commands import, once, and runs each in a process that
it forks: a kill then hits a command at its work, and not the seconds in which libraries are imported.
"""

from __future__ import annotations

import csv
import hashlib
import importlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
import traceback
import zipfile
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from tests.media import read_number

ROOT = Path(__file__).parents[3]
DOOR = "import sys; from pipeline.commands import main; sys.exit(main())"
_LIGHT = ("h5py", "pandas", "av", "cv2", "yaml", "jinja2")
_HEAVY = ("sklearn.linear_model", "matplotlib.figure", "optuna", "openvino", "tensorflow", "keras", "keras.src.models")
_CLOCK = re.compile(r"seconds|duration|_dt_|created|command|time$|versions|mtime")
_MOMENT = re.compile(
    r"\d[\d.,]* (s|ms|min|seconds)\b|\d{4}-\d\d-\d\d[T ]?[\d:]*|video-pipeline [^<\n]*|<td>[\d.]+</td></tr>"
)


def start(verb: str, *words: object, before: str = "", **options) -> subprocess.Popen:
    """A command in a process group of its own; ``before`` is done by the shell that becomes it, such as a limit."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-P", "-c", DOOR, verb, *map(str, words)]
    if before:
        command = ["bash", "-c", f'{before}; exec "$@"', "bash", *command]
    return subprocess.Popen(command, env=environment, start_new_session=True, **options)


def finish(verb: str, *words: object, before: str = "") -> tuple[int, str]:
    """Its exit status, and what it said."""
    process = start(verb, *words, before=before, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        out, error = process.communicate(timeout=250)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    return process.returncode, error or out


class Forge:
    """Makes commands quickly, one at a time.

    Args:
        heavy: whether they compute, and not only read and write.
        said: a file for what the running one says.
    """

    def __init__(self, said: Path, *, heavy: bool) -> None:
        words = [
            sys.executable,
            "-P",
            "-m",
            "tests.hostile.interruptions.processes",
            str(said),
            *(["heavy"] if heavy else []),
        ]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
        self._process = subprocess.Popen(words, env=environment, **pipes)
        self._said = said
        assert self._read() == "ready"

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def run(
        self, words: Sequence[object], *, kill_after: float | None = None, limits: Mapping[str, int] | None = None
    ) -> tuple[int | None, str, float]:
        """Its exit status, None where it was killed; what it said; and how many seconds it took.

        Args:
            words: the verb and its arguments.
            kill_after: seconds until it and all that it started are killed.
            limits: what of the machine it may use, such as ``{"NOFILE": 64}``; see the module `resource`.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([[str(word) for word in words], limits or {}]) + "\n")
        self._process.stdin.flush()
        began, group = time.monotonic(), int(self._read())
        if kill_after is not None:
            time.sleep(kill_after)
            os.killpg(group, signal.SIGKILL)  # the parent waits for it only when it is told to, so it is there
        self._process.stdin.write("wait\n")
        self._process.stdin.flush()
        status = int(self._read())
        seconds = time.monotonic() - began
        return None if status == -signal.SIGKILL else status, self._said.read_text(errors="replace"), seconds

    def close(self) -> None:
        """End it."""
        self._process.communicate("")


def contents(folder: Path, *, hidden: bool = True, videos: Mapping[str, bool] | None = None) -> dict[str, object]:
    """By name, what each file below a folder holds, without clocks; folders hold nothing.

    How sequences are shared out to shards depends on when they came, so those of a store count together.

    Args:
        folder: which.
        hidden: whether files that begin with a dot, and what is in such folders, count too.
        videos: patterns of videos of which only the frames count: which numbers they carry, or, where that is False,
            how many there are.

    Raises:
        Exception: one cannot be read.
    """
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if not hidden and any(part.startswith(".") for part in name.parts):
            continue
        if fnmatch(path.name, "shard-*.h5"):
            with_sequences = (name.parent / "shards").as_posix()
            found[with_sequences] = found.get(with_sequences) or _sequences(path.parent)
        elif kinds := [numbered for pattern, numbered in (videos or {}).items() if fnmatch(name.as_posix(), pattern)]:
            found[name.as_posix()] = _frames(path, numbered=kinds[0])
        else:
            found[name.as_posix()] = None if path.is_dir() else _content(path)
    return found


def _frames(path: Path, *, numbered: bool) -> object:
    from pipeline.videos.media import open_video

    with open_video(path) as reader:
        return [read_number(frame.image) for frame in reader] if numbered else reader.scan()


def _sequences(store: Path) -> dict[str, str]:
    from pipeline.extraction.store.store import FeatureStore

    opened = FeatureStore(store)
    return {
        sequence.video: hashlib.sha256(sequence.features.tobytes() + sequence.times.tobytes()).hexdigest()
        for sequence in opened.sequences(opened.entries)
    }


def _content(path: Path) -> object:
    data = path.read_bytes()
    if path.name == "head.json":  # the digests of files in which there are clocks and names by chance
        about = json.loads(data)
        files = path.parents[1] / "model.keras", path.with_name("network.xml"), path.with_name("network.bin")
        digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
        return [about["model"], *about["files"]] == digests
    if path.name == "network.xml":
        return sorted(re.findall(rb' type="(\w+)"', data))
    if path.name == "fingerprint.pb":  # TensorFlow draws a number
        return len(data) > 0
    if path.suffix == ".json":
        return _timeless(json.loads(data))
    if path.suffix == ".csv":
        return [_timeless(row) for row in csv.DictReader(io.StringIO(data.decode()))]
    if path.suffix in (".html", ".md"):
        assert path.suffix != ".html" or data.rstrip().endswith(b"</html>")
        return _MOMENT.sub("…", data.decode())
    if path.suffix in (".h5", ".keras"):
        return _arrays(data if path.suffix == ".h5" else zipfile.ZipFile(path).read("model.weights.h5"))
    return hashlib.sha256(data).hexdigest()


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(inner) for key, inner in value.items() if not _CLOCK.search(key)}
    return [_timeless(inner) for inner in value] if isinstance(value, list) else value


def _arrays(data: bytes) -> dict[str, str]:
    """A digest of each dataset in an HDF5 file."""
    import h5py

    found = {}
    with h5py.File(io.BytesIO(data)) as file:
        file.visititems(
            lambda name, item: (
                found.update({name: hashlib.sha256(item[()].tobytes()).hexdigest()})
                if isinstance(item, h5py.Dataset) and item.dtype != object
                else None
            )
        )
    return found


def _serve(said: str, heavy: bool) -> None:
    from pipeline.commands import VERBS, load

    for name in (*_LIGHT, *(_HEAVY if heavy else ())):
        importlib.import_module(name)
    for verb in VERBS:
        load(verb)
    if heavy:
        for name in ("pipeline.training.experiments.search", "pipeline.published.ecology_grid"):
            importlib.import_module(name)
    print("ready", flush=True)
    for line in sys.stdin:
        with open(said, "w") as file:
            if (child := os.fork()) == 0:
                _become(*json.loads(line), file.fileno())
            os.setpgid(child, child)  # by both, since either may be faster
        print(child, flush=True)
        sys.stdin.readline()
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _become(words: list[str], limits: dict[str, int], said: int) -> None:
    import resource

    from pipeline.commands import main

    os.setpgid(0, 0)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(said, 1)
    os.dup2(said, 2)
    for name, most in limits.items():
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (most, most))
    sys.argv = ["video-pipeline", *words]
    status = 1
    try:
        status = main()
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else 1
    except BaseException:  # noqa: BLE001 - as Python itself ends
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    _serve(sys.argv[1], "heavy" in sys.argv[2:])
