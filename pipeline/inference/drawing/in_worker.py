"""Drawing in a worker process that is watched: the second pass over a video can crash or hang a decoder too."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.extraction.recipe import Recipe
from pipeline.files.atomic import remove_abandoned
from pipeline.inference.drawing import Style
from pipeline.inference.drawing.render import Rendered, rendering
from pipeline.inference.drawing.seen import write_seen
from pipeline.inference.timeline.prediction import VideoPrediction
from pipeline.parallel.worker_process import Heartbeat
from pipeline.parallel.workers import OneWorker

_TELL_EVERY = 0.1  # seconds


def render_in(
    worker: OneWorker,
    prediction: VideoPrediction,
    output: Path,
    *,
    style: Style,
    fps: float | None,
    codec: str,
    show: Callable[[int, int], None],
) -> Rendered:
    """`render_video` in a worker."""
    rendered = Rendered(0, [])
    with _leaving_nothing(worker, output):
        for done in worker.run(_render, prediction, output, style, fps, codec):
            if isinstance(done, Rendered):
                rendered = done
            else:
                show(done, len(prediction.times))
    show(rendered.frames, len(prediction.times))
    return rendered


def write_seen_in(worker: OneWorker, prediction: VideoPrediction, recipe: Recipe, path: Path, *, codec: str) -> None:
    """`write_seen` in a worker."""
    with _leaving_nothing(worker, path):
        for _ in worker.run(_write_seen, prediction, recipe, path, codec):
            pass


@contextlib.contextmanager
def _leaving_nothing(worker: OneWorker, path: Path) -> Iterator[None]:
    """Where it is stopped, a worker is killed in the middle of a file that has no name yet."""
    try:
        yield
    except BaseException:
        worker.end()
        remove_abandoned(path.parent)
        raise


def _render(
    heartbeat: Heartbeat, prediction: VideoPrediction, output: Path, style: Style, fps: float | None, codec: str
) -> Iterator[int | Rendered]:
    with _Beating(heartbeat) as beating:
        told = 0.0
        for done in rendering(prediction, output, style=style, fps=fps, codec=codec, finishing=beating.start):
            beating.stop()
            if isinstance(done, Rendered) or time.monotonic() - told > _TELL_EVERY:
                told = time.monotonic()
                yield done


def _write_seen(
    heartbeat: Heartbeat, prediction: VideoPrediction, recipe: Recipe, path: Path, codec: str
) -> Iterator[None]:
    write_seen(prediction, recipe, path, codec=codec, show=heartbeat)
    yield


class _Beating:
    """Gives signs of life in the place of ffmpeg, which mixes the sound in: that takes minutes for a long video."""

    def __init__(self, heartbeat: Heartbeat) -> None:
        self._heartbeat, self._stopped = heartbeat, threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> _Beating:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopped.wait(0.5):
            self._heartbeat()

    def stop(self) -> None:
        """Be silent: who else writes to the pipe must not be interrupted."""
        if self._thread is not None:
            self._stopped.set()
            self._thread.join()
            self._thread = None
