"""The spine: every feature reaches its frame, whatever the batches, the messages and the number of networks."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from pipeline.errors import VideoError
from pipeline.extraction.features import decode_task, stream
from pipeline.extraction.features.decode_task import DecodeSpec, Images, VideoOpened, decode_videos
from pipeline.extraction.features.stream import Failed, Features, Finished, Idle, Meter, Opened, feature_stream
from pipeline.parallel.workers import Ended
from pipeline.videos.catalog.source_file import SourceFile
from pipeline.videos.media.frame import VideoInfo
from pipeline.videos.media.sampling import Sampling
from tests.extraction.conftest import RECIPE, column_means
from tests.media import write_video

ALL = Sampling("all")


def collect(events) -> dict[str, list]:
    """The events of each video, idle seconds left out."""
    told: dict[str, list] = {}
    for event in events:
        if not isinstance(event, Idle):
            told.setdefault(event.video, []).append(event)
    return told


@pytest.mark.parametrize("batch", [1, 7, 64])
@pytest.mark.parametrize("chunk", [1, 5 * 24 * 48 * 3, 4 << 20])
def test_features_are_those_of_the_frames(tmp_path, monkeypatch, batch, chunk):
    monkeypatch.setattr(decode_task, "CHUNK_BYTES", chunk)
    paths = [write_video(tmp_path / f"{n}.mkv", "ffv1_mkv", frames=3 + 9 * n, first=100 * n) for n in range(3)]
    spec = DecodeSpec((RECIPE, replace(RECIPE, reuse_static=1.0), replace(RECIPE, input="difference")))
    networks = [column_means, lambda images: 2 * column_means(images), column_means]
    with decode_videos([(path.stem, path, ALL) for path in paths], spec, workers=0) as decoded:
        told = collect(feature_stream(decoded, networks, batch=batch))
    for number, path in enumerate(paths):
        opened, *features, finished = told[path.stem]
        assert isinstance(opened, Opened)
        assert isinstance(finished, Finished)
        assert finished.file.sha256 == ""
        found = np.concatenate([event.features for event in features])
        frames = np.concatenate([event.frames for event in features])
        assert frames.tolist() == opened.frames.tolist() == list(range(3 + 9 * number))
        np.testing.assert_array_equal(np.concatenate([event.times for event in features]), opened.times)
        with decode_videos([("", path, ALL)], DecodeSpec((RECIPE,)), workers=0) as decoded:
            images = np.concatenate([m.images[0] for _, m in decoded.messages() if isinstance(m, Images)])
        np.testing.assert_allclose(found[:, :48], column_means(images), atol=1e-4)
        np.testing.assert_allclose(found[:, 48:96], 2 * column_means(images), atol=1e-4)
        assert not np.array_equal(found[:, 96:], found[:, :48])


def test_batches_cross_videos(tmp_path):
    sizes = []

    def network(images):
        sizes.append(len(images))
        return column_means(images)

    paths = [write_video(tmp_path / f"{n}.mp4", frames=10, first=100 * n) for n in range(7)]
    with decode_videos([(path, path, ALL) for path in paths], DecodeSpec((RECIPE,)), workers=0) as decoded:
        list(feature_stream(decoded, [network], batch=32))
    assert sizes == [32, 32, 6]


class Told:
    """Messages as a pool may tell them."""

    def __init__(self, *messages) -> None:
        self._messages = messages

    def messages(self, patience: float):
        yield from self._messages


def images(*values: int) -> Images:
    shape = (len(values), 2, 2, 3)
    pixels = np.broadcast_to(np.array(values, np.uint8)[:, None, None, None], shape)
    numbers = np.arange(len(values))
    return Images((pixels,), (None,), numbers / 10, numbers)


def opened(count: int) -> VideoOpened:
    return VideoOpened(VideoInfo(count, count, 10, 2, 2, count / 10, "h264"), np.arange(count) / 10, np.arange(count))


FILE = SourceFile(1, 2)


def means(pixels: np.ndarray) -> np.ndarray:
    return pixels.mean(axis=(1, 2)).astype(np.float32)


def test_what_came_before_a_damaged_stretch_is_void():
    told = Told(
        ("a", opened(3)), ("a", images(1, 2)), ("a", opened(2)), ("a", images(5, 6)), ("a", FILE), ("a", Ended())
    )
    first, second, features, finished = collect(feature_stream(told, [means], batch=4))["a"]
    assert (len(first.frames), len(second.frames)) == (3, 2)
    assert features.features[:, 0].tolist() == [5, 6]
    assert isinstance(finished, Finished)


def test_a_video_that_fails_in_the_middle_leaves_the_others_alone():
    told = Told(
        ("a", opened(2)),
        ("b", opened(2)),
        ("a", images(1)),
        ("b", images(3, 4)),
        ("a", Ended(VideoError("decode", "damaged"))),
        ("b", FILE),
        ("b", Ended()),
    )
    events = collect(feature_stream(told, [means], batch=2))
    assert [type(event) for event in events["a"]] == [Opened, Failed]
    assert np.concatenate([e.features for e in events["b"] if isinstance(e, Features)])[:, 0].tolist() == [3, 4]


def test_a_silent_second_flushes_what_there_is():
    told = Told(("a", opened(2)), ("a", images(1, 2)), None, ("a", FILE), ("a", Ended()))
    kinds = [type(event) for event in feature_stream(told, [means], batch=32)]
    assert kinds == [Opened, Features, Idle, Finished]


def test_images_are_compared_only_so_often_in_a_run(monkeypatch):
    monkeypatch.setattr(stream, "_MOST_CHECKS", 2)
    uses = np.array([0, 2, 1, 2, 1, 0, 2], np.uint8)
    pixels = images(1, 1, 1, 2, 2).images
    numbers = np.arange(7)
    messages = [
        (name, message)
        for name in ("a", "b")
        for message in (opened(7), Images(pixels, (uses,), numbers / 10, numbers), FILE, Ended())
    ]
    seen = []

    def network(batch):
        seen.append(len(batch))
        return means(batch)

    meter = Meter()
    events = collect(feature_stream(Told(*messages), [network], batch=32, meter=meter))
    assert sum(seen) == 5 + 2
    assert (meter.reuse.frames, meter.reuse.reused, meter.reuse.checked, meter.reuse.worst) == (14, 10, 3, 1.0)
    for name in ("a", "b"):
        found = [event.features[:, 0] for event in events[name] if isinstance(event, Features)]
        assert np.concatenate(found).tolist() == [1, 1, 1, 1, 1, 2, 2]


def test_an_error_of_the_network_is_raised():
    def network(batch):
        raise ZeroDivisionError

    told = Told(("a", opened(1)), ("a", images(1)), ("a", FILE), ("a", Ended()))
    with pytest.raises(ZeroDivisionError):
        list(feature_stream(told, [network], batch=1))


def test_a_worker_loads_no_network_no_store_and_no_table():
    """What is imported for the task and the rules that are sent to a worker: it has to start in half a second."""
    program = (
        "import sys\n"
        "import pipeline.extraction.features.decode_task, pipeline.inference.timeline.window_grid\n"
        "print(*({name.partition('.')[0] for name in sys.modules} & set(sys.argv[1:])))"
    )
    heavy = ["keras", "tensorflow", "jax", "torch", "openvino", "h5py", "pandas", "sklearn", "scipy", "matplotlib"]
    done = subprocess.run([sys.executable, "-c", program, *heavy], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"
