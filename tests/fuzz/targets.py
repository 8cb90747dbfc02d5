"""What is done with a damaged file: all that a command would do. Each ends well, or with one of `MISTAKES`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.errors import UserError, VideoError


def tables(path: Path) -> None:
    """A table or a YAML file, by its name."""
    from pipeline.published.system import read_system
    from pipeline.training.experiments.search_space import grid_points, read_space
    from pipeline.videos.catalog.catalog import read_catalog
    from pipeline.videos.catalog.catalog_table import update_catalog
    from pipeline.videos.catalog.clip_origins import read_origins
    from pipeline.videos.catalog.failures import FailureLog
    from pipeline.videos.labels.annotation_formats import read_annotations
    from pipeline.videos.labels.frame_labels import read_frame_labels
    from pipeline.videos.labels.segments import read_segments
    from pipeline.videos.quality.problems import read_problems

    def catalog(path: Path) -> None:
        update_catalog(read_catalog(path).videos, path)

    def grid(path: Path) -> None:
        for number, _ in enumerate(grid_points(read_space(path))):
            if number > 1000:
                break

    readers: dict[str, Callable[[Path], object]] = {
        "catalog.csv": catalog,
        "segments.csv": read_segments,
        "frames.csv": read_frame_labels,
        "clips.csv": lambda path: read_origins(path.parent),
        "problems.csv": read_problems,
        "failures.csv": FailureLog,
        "grid.yaml": grid,
        "system.yaml": lambda path: read_system(path, ["train"]),
    }
    readers.get(path.name, read_annotations)(path)


def store(path: Path) -> None:
    """A store, of which one file is damaged."""
    from pipeline.extraction.store.import_export import export_arrays
    from pipeline.extraction.store.store import FeatureStore
    from pipeline.extraction.store.timesteps import StoredSteps
    from pipeline.extraction.store.verify import check_shards

    folder = path.parent
    told = []
    for use in (
        lambda: [list(check_shards(folder))],
        lambda: list(export_arrays(FeatureStore(folder), folder.parent / "arrays")),
        lambda: StoredSteps(FeatureStore(folder), FeatureStore(folder).entries).load(),
        lambda: (FeatureStore(folder).precision, FeatureStore(folder).weights_source, FeatureStore(folder).catalog),
    ):
        try:
            use()
        except UserError as error:
            told.append(error)
    if told:
        raise told[0]


def checkpoint(path: Path) -> None:
    """A checkpoint, of which one file is damaged."""
    import numpy as np

    from pipeline.training.checkpoint import Checkpoint
    from pipeline.training.reports.compare import write_comparison

    folder = path.parent
    if path.name == "results.json":
        write_comparison([folder, folder], folder.parent / "compare.html", title="x")
        return
    opened = Checkpoint.load(folder)
    features = np.zeros((1, opened.window.length, *opened.shape), opened.dtype)
    opened.predict(features, np.ones(features.shape[:2], bool))


def videos(paths: list[Path]) -> Iterator[tuple[Path, str]]:
    """Many damaged videos, each in a supervised worker as in every command; yields what is told of each."""
    from pipeline.extraction.features.decode_task import DecodeSpec, decode_videos
    from pipeline.extraction.recipe import Recipe
    from pipeline.parallel.workers import Ended
    from pipeline.videos.catalog.catalog import Video
    from pipeline.videos.media.sampling import Sampling
    from pipeline.videos.quality.checks import check_videos
    from pipeline.videos.quality.dataset_checks import check_dataset
    from pipeline.videos.quality.duplicates import find_duplicates

    rows = [Video(str(path), path, "x") for path in paths]
    facts = list(check_videos(rows, workers=1, timeout=20))
    check_dataset(rows, facts)
    find_duplicates(rows, facts)
    for fact in facts:
        yield Path(fact.name), "; ".join(problem.detail for problem in fact.problems if problem.kind == "unreadable")
    spec = DecodeSpec((Recipe("fps:2", "tiny", "0" * 64, 24, 48),), identify=True)
    jobs = [(path, path, Sampling.parse("fps:2")) for path in paths]
    with decode_videos(jobs, spec, workers=1, timeout=20) as pool:
        for arrived in pool.messages():
            if arrived is not None and isinstance(arrived[1], Ended):
                yield arrived[0], arrived[1].error.reason if arrived[1].error else ""


MISTAKES = (UserError, VideoError)
