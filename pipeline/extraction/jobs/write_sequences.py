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
    unfinished = _Unfinished(writer, progress)

    def give_up(video: Video, error: VideoError) -> None:
        unfinished.expect(video, unfinished.drop(video))
        fail(video, error)

    try:
        for event in events:
            match event:
                case Idle():
                    writer.commit_if_due()
                    continue
                case _ if event.video in unfinished.given_up:
                    continue
                case Opened(video):
                    unfinished.begin(event)
                case Features(video):
                    try:
                        unfinished.add(event)
                    except VideoError as error:
                        unfinished.given_up.add(video)
                        give_up(video, error)
                case Finished(video):
                    unfinished.finish(event)
                case Failed(video, error):
                    give_up(video, error)
            show(progress)
    finally:
        unfinished.drop_all()


class _Unfinished:
    """The videos of which some features have come, and not all."""

    def __init__(self, writer: StoreWriter, progress: ExtractionProgress) -> None:
        self._writer, self._progress = writer, progress
        self._pending: dict[Video, tuple[SequenceBuffer, Opened[Video]]] = {}
        self.given_up: set[Video] = set()
        """Videos whose features were unusable; the rest of them is still coming."""

    def begin(self, event: Opened[Video]) -> None:
        """A video was opened, maybe once more."""
        self.drop(event.video)
        self._pending[event.video] = (self._writer.buffer(), event)
        self.expect(event.video, len(event.frames))

    def add(self, event: Features[Video]) -> None:
        """Some of its features have come.

        Raises:
            VideoError: they cannot be stored.
        """
        buffer, opened = self._pending[event.video]
        place = slice(len(buffer), len(buffer) + len(event.frames))
        ends = None if opened.ends is None else opened.ends.at(place)
        buffer.append(event.features, event.times.tolist(), event.frames.tolist(), ends)
        self._progress.frames += len(event.frames)

    def finish(self, event: Finished[Video]) -> None:
        """All have come: they go into the store."""
        buffer, opened = self._pending.pop(event.video)
        if self._writer.recipe.reuse_static:
            self._writer.provenance["reuse_static"] = self._progress.reuse.to_json()
        self._writer.add(event.video.name, buffer, _source(event.file, opened.info))
        self._progress.done += 1

    def drop(self, video: Video) -> int:
        """Forget what came of a video; returns how many frames."""
        buffer, _ = self._pending.pop(video, (None, None))
        if buffer is None:
            return 0
        buffer.close()
        return len(buffer)

    def drop_all(self) -> None:
        """Forget all of them."""
        for video in list(self._pending):
            self.drop(video)

    def expect(self, video: Video, frames: int) -> None:
        """So many frames of a video are in all that is to be done."""
        if self._progress.expectation is not None:
            self._progress.expectation.tell(video, frames)


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
