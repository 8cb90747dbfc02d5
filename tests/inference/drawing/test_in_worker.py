"""Drawing in a worker: what is written is the same, and a video that crashes or hangs there costs itself only."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

from pipeline.errors import VideoError
from pipeline.inference.classifier import Classifier
from pipeline.inference.drawing.in_worker import render_in, write_seen_in
from pipeline.inference.drawing.render import render_video
from pipeline.inference.drawing.seen import write_seen
from pipeline.parallel.workers import OneWorker
from tests.inference.conftest import write_untrained
from tests.media import write_video

pytestmark = pytest.mark.posix
HOW = {"style": "bars", "fps": None, "codec": "xvid"}


@pytest.fixture(scope="module")
def untrained(tmp_path_factory) -> Classifier:
    folder = write_untrained(tmp_path_factory.mktemp("checkpoint") / "untrained", "fps:5", length=4)
    return Classifier.load(folder, precision="float32")


@pytest.mark.parametrize("output", ["out.avi", "out.gif"])
def test_what_is_written_is_what_this_process_would_write(untrained, tmp_path, output):
    prediction = untrained.classify(write_video(tmp_path / "in.mp4", frames=40, sound=True))
    recipe = untrained.checkpoint.recipe
    here, there = tmp_path / f"here-{output}", tmp_path / f"there-{output}"
    told = []
    with OneWorker() as worker:
        for _ in range(2):  # the second one by the same process
            done = render_in(worker, prediction, there, **HOW, show=lambda done, total: told.append((done, total)))
            assert done == render_video(prediction, here, **HOW)
            assert there.read_bytes() == here.read_bytes()
            assert done.frames == 40
            assert told[-1] == (40, 40)
        write_seen_in(worker, prediction, recipe, there, codec="xvid")
    write_seen(prediction, recipe, here)
    assert there.read_bytes() == here.read_bytes()


@pytest.mark.parametrize(("name", "line"), [("crashes.mp4", "crashed"), ("hangs.mp4", "no sign of life for 3 s")])
def test_a_video_that_ends_the_decoder_in_the_second_pass_is_told(untrained, tmp_path, sabotage, name, line):
    source = write_video(tmp_path / "in.mp4", frames=40)
    prediction = untrained.classify(source)
    shutil.copy(source, tmp_path / name)
    bad, out = replace(prediction, video=tmp_path / name), tmp_path / "out"
    with OneWorker(timeout=3.0) as worker:
        with pytest.raises(VideoError, match=line):
            render_in(worker, bad, out / "bad.avi", **HOW, show=lambda done, total: None)
        assert list(out.iterdir()) == []
        render_in(worker, prediction, out / "good.avi", **HOW, show=lambda done, total: None)
    assert [path.name for path in out.iterdir()] == ["good.avi"]


def test_a_stop_leaves_nothing(untrained, tmp_path):
    prediction = untrained.classify(write_video(tmp_path / "in.mp4", frames=400))

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with OneWorker() as worker, pytest.raises(KeyboardInterrupt):
        render_in(worker, prediction, tmp_path / "out" / "a.mp4", **HOW, show=stop)
    assert list((tmp_path / "out").iterdir()) == []
