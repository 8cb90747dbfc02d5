"""From events of the spine to sequences in a store."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from pipeline.errors import VideoError
from pipeline.extraction.features.stream import Event, Failed, Features, Finished, Idle, Opened
from pipeline.extraction.jobs.progress import ExtractionProgress
from pipeline.extraction.store.shard_writer import SequenceBuffer, StoreWriter
from pipeline.videos.catalog.catalog import Video
from pipeline.videos.catalog.source_file import SourceFile
from pipeline.videos.media.frame import VideoInfo


def write_sequences(
    events: Iterable[Event[Video]],
    writer: StoreWriter,
    *,
    progress: ExtractionProgress,
    fail: Callable[[Video, VideoError], None],
    show: Callable[[ExtractionProgress], None] = lambda progress: None,
) -> None:
    """Write the features of each video into a store when all of them have come.

    Args:
        events: of `feature_stream`, with ``progress`` as its meter.
        writer: takes the finished sequences.
        progress: kept up to date.
        fail: called with a video and the reason why it cannot be used.
        show: called with the progress whenever it changed.
    """
    pending: dict[Video, tuple[SequenceBuffer, Opened[Video]]] = {}
    given_up: set[Video] = set()  # their features were unusable, and the rest of them is still coming

    def drop(video: Video) -> int:
        """Forget what came of a video; returns how many frames."""
        buffer, _ = pending.pop(video, (None, None))
        if buffer is None:
            return 0
        buffer.close()
        return len(buffer)

    def expect(video: Video, frames: int) -> None:
        if progress.expectation is not None:
            progress.expectation.tell(video, frames)

    try:
        for event in events:
            if isinstance(event, Idle):
                writer.commit_if_due()
                continue
            if event.video in given_up:
                continue
            match event:
                case Opened(video):
                    drop(video)
                    pending[video] = (writer.buffer(), event)
                    expect(video, len(event.frames))
                case Features(video, features, times, frames):
                    buffer, opened = pending[video]
                    place = slice(len(buffer), len(buffer) + len(frames))
                    ends = None if opened.ends is None else opened.ends.at(place)
                    try:
                        buffer.append(features, times.tolist(), frames.tolist(), ends)
                    except VideoError as error:
                        expect(video, drop(video))
                        given_up.add(video)
                        fail(video, error)
                    else:
                        progress.frames += len(frames)
                case Finished(video, file):
                    buffer, opened = pending.pop(video)
                    if writer.recipe.reuse_static:
                        writer.provenance["reuse_static"] = progress.reuse.to_json()
                    writer.add(video.name, buffer, _source(file, opened.info))
                    progress.done += 1
                case Failed(video, error):
                    expect(video, drop(video))
                    fail(video, error)
            show(progress)
    finally:
        for video in list(pending):
            drop(video)


def _source(file: SourceFile, info: VideoInfo) -> SourceFile:
    return replace(
        file,
        frames=info.frames,
        header_frames=info.header_frames,
        fps=info.fps,
        width=info.width,
        height=info.height,
        duration=info.duration,
    )
