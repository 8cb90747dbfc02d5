"""Stage one on a Ray cluster: batches of videos as tasks, one actor per accelerator, one store.

Every actor writes its own shards into the same folder, which all machines must see. A worker that is lost is
started again and its batch repeated; what it had committed is found and not done twice. Ray is an optional
extra (``pip install video-pipeline[ray]``).
"""

from __future__ import annotations

import logging
import socket
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import UserError, VideoError
from pipeline.extraction.features.static_frames import Reuse
from pipeline.extraction.jobs.extract import Extraction
from pipeline.extraction.jobs.progress import ExtractionProgress
from pipeline.extraction.jobs.spec import ExtractionSpec
from pipeline.extraction.network.load import load_backbone
from pipeline.extraction.network.weights import WeightsSource
from pipeline.extraction.recipe import Recipe
from pipeline.extraction.store.store import FeatureStore
from pipeline.videos.catalog.catalog import Video

_VIDEOS_PER_TASK = 16
_TASKS_AHEAD = 2  # per worker, so that none waits for the driver


@dataclass(frozen=True)
class RaySpec:
    """Where the work is done."""

    address: str = "local"
    """``local`` starts Ray on this machine; ``auto`` or ``HOST:PORT`` joins a running cluster."""
    workers: int = 0
    """Actors; 0 for one per GPU of the cluster, or one per machine where there are none."""


@dataclass(frozen=True)
class _Outcome:
    """What came of one batch of videos."""

    done: int
    frames: int
    failed: list[tuple[Video, VideoError]]
    reuse: Reuse


class _Worker:
    """Lives in an actor: loads the network once, then extracts batches of videos."""

    def __init__(
        self, folder: Path, recipe: Recipe, weights: WeightsSource | None, spec: ExtractionSpec, precision: str
    ) -> None:
        self._folder, self._recipe, self._spec = folder, recipe, spec
        self._backbone = load_backbone(recipe, folder, weights=weights, batch=spec.batch, precision=precision)
        if self._backbone.digest != recipe.weights_digest:
            raise UserError(f"the weights {weights.text if weights else ''} on a worker are not those of the recipe")

    def extract(self, videos: list[Video]) -> _Outcome:
        """Extract those of ``videos`` that the store lacks, and commit them."""
        # A worker before us may have been lost after it had committed a part of this batch.
        entries = FeatureStore(self._folder).entries
        missing = [video for video in videos if not _is_done(video, entries)]
        progress, failed = ExtractionProgress(), []
        with (
            self._spec.write(self._folder, self._recipe, self._backbone.provenance) as writer,
            self._spec.decode(missing, self._recipe) as pool,
        ):
            self._spec.extract(
                pool,
                self._backbone,
                writer,
                progress=progress,
                fail=lambda video, error: failed.append((video, error)),
            )
        return _Outcome(len(videos) - len(failed), progress.frames, failed, progress.reuse)

    def ready(self) -> str:
        """The precision that this machine computes in; answers when the network is loaded."""
        return self._backbone.precision


def _is_done(video: Video, entries: dict[str, Any]) -> bool:
    entry = entries.get(video.name)
    if entry is None:
        return False
    try:
        return entry.source.is_unchanged(video.path)
    except VideoError:
        return False  # the decoder will say why


def run_on_ray(
    extraction: Extraction,
    weights: WeightsSource | None,
    precision: str,
    ray_spec: RaySpec,
    *,
    show: Callable[[ExtractionProgress], None] = lambda progress: None,
    started: Callable[[int], None] = lambda workers: None,
) -> ExtractionProgress:
    """Extract what the plan of ``extraction`` says on a Ray cluster.

    Args:
        extraction: already looked at.
        weights: every machine must have them; None for a frame cache.
        precision: ``auto`` is decided on each worker.
        ray_spec: where.
        show: called with the progress after every batch of videos.
        started: called with the number of workers once the first of them is ready.

    Raises:
        UserError: Ray is not installed, or its address does not answer.
    """
    ray = _connect(ray_spec.address)
    progress = extraction.progress
    try:
        count = ray_spec.workers or _count_workers(ray)
        resources = {"num_gpus": 1} if ray.cluster_resources().get("GPU") else {"num_cpus": 1}
        actor = ray.remote(max_restarts=-1, max_task_retries=-1, **resources)(_Worker)
        workers = [
            actor.remote(extraction.folder.absolute(), extraction.recipe, weights, extraction.spec, precision)
            for _ in range(count)
        ]
        _first_ready(ray, workers)
        started(count)
        for outcome in _spread(ray, workers, _batches(extraction.plan.extract)):
            progress.done += outcome.done
            progress.frames += outcome.frames
            progress.reuse.merge(outcome.reuse)
            for video, error in outcome.failed:
                extraction.fail(video, error)
            show(progress)
    finally:
        ray.shutdown()
        extraction.write_catalog()
    extraction.copy_known(show)
    return progress


def _connect(address: str) -> Any:
    _check_address(address)
    try:
        import ray
    except ImportError:
        raise UserError("`engine=ray` needs Ray: pip install video-pipeline[ray]") from None
    try:
        ray.init(
            address=None if address == "local" else address,
            log_to_driver=False,
            logging_level=logging.ERROR,
            include_dashboard=False if address == "local" else None,
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:160]
        raise UserError(f"`ray_address={address}`: no Ray cluster answers there ({reason})") from None
    return ray


def _check_address(address: str) -> None:
    """Ray itself tries for minutes to reach an address where nobody answers."""
    host, colon, port = address.rpartition(":")
    if not colon:
        if address not in ("local", "auto"):
            raise UserError(f"`ray_address={address}`: expected local, auto or HOST:PORT")
        return
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, ValueError) as error:
        raise UserError(f"`ray_address={address}`: no Ray cluster answers there ({error})") from None


def _count_workers(ray: Any) -> int:
    resources = ray.cluster_resources()
    return int(resources.get("GPU") or sum(node["Alive"] for node in ray.nodes()))


def _first_ready(ray: Any, workers: Sequence[Any]) -> None:
    """Wait until one worker has its network; why it cannot is the user's business and not a traceback."""
    ready, _ = ray.wait([worker.ready.remote() for worker in workers], num_returns=1)
    try:
        ray.get(ready)
    except ray.exceptions.RayError as error:
        lines = [line for line in str(error).strip().splitlines() if line.strip()]
        raise UserError(f"a Ray worker cannot start: {lines[-1].strip()}") from None


def _batches(videos: Sequence[Video]) -> deque[list[Video]]:
    return deque(list(videos[start : start + _VIDEOS_PER_TASK]) for start in range(0, len(videos), _VIDEOS_PER_TASK))


def _spread(ray: Any, workers: Sequence[Any], batches: deque[list[Video]]):
    """Give every worker a few batches ahead and yield outcomes as they come."""
    running: dict[Any, Any] = {}
    for _ in range(_TASKS_AHEAD):
        for worker in workers:
            if batches:
                running[worker.extract.remote(batches.popleft())] = worker
    while running:
        (done,), _ = ray.wait(list(running), num_returns=1)
        worker = running.pop(done)
        yield ray.get(done)
        if batches:
            running[worker.extract.remote(batches.popleft())] = worker
