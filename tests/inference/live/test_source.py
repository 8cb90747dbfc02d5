"""Live sources: the newest frame counts, the rest is counted; streams end, break and come back."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.inference.live.live_classify import LivePrediction
from pipeline.inference.live.source import LiveSource, is_live, run_live
from pipeline.videos.media import open_video
from pipeline.videos.media.ffmpeg import find_ffmpeg
from tests.media import read_number, write_video
from tests.rtsp import RtspServer

ROOT = Path(__file__).parents[3]


@pytest.fixture
def movie(tmp_path: Path) -> Path:
    return write_video(tmp_path / "a.ts", "mpeg2_ts", frames=50, fps=25)


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def serve(movie: Path, port: int, *options: str) -> subprocess.Popen:
    """ffmpeg sends the movie in real time to whoever connects first."""
    return subprocess.Popen(
        [find_ffmpeg(), "-loglevel", "quiet", "-re", *options, "-i", str(movie), "-c", "copy", "-f", "mpegts"]
        + [f"tcp://127.0.0.1:{port}?listen=1"],
        stdin=subprocess.DEVNULL,
    )


def connect(port: int, **options) -> LiveSource:
    return LiveSource(f"tcp://127.0.0.1:{port}", **options)


def test_what_is_live():
    assert [is_live(text) for text in ("-", "0", "12", "rtsp://host/a", "a.mp4", "folder/1", "")] == [True] * 4 + [
        False
    ] * 3
    with pytest.raises(UserError, match="not a live source"):
        LiveSource("a.mp4")


def test_frames_come_in_order_with_their_times(movie):
    port = free_port()
    server = serve(movie, port)
    time.sleep(0.5)
    try:
        with connect(port, patience=0) as source:
            numbers, times = [], []
            with pytest.raises(UserError, match="broke"):  # noqa: PT012 - it ends as the server does
                for arrival in source:
                    numbers.append(read_number(arrival.frame.image))
                    times.append(arrival.frame.time)
                    assert time.monotonic() - arrival.clock < 1
    finally:
        server.kill()
        server.wait()
    assert numbers == sorted(set(numbers))
    assert numbers[-1] >= 45
    assert times == pytest.approx([(number - numbers[0]) / 25 for number in numbers], abs=0.01)
    assert source.dropped == source.frames - len(numbers)


def test_slow_work_gets_the_newest_frame(movie):
    """Whoever takes 0.3 s for a frame sees one in seven, and each of them when it is new."""
    port = free_port()
    server = serve(movie, port)
    time.sleep(0.5)
    delays = []
    try:
        with connect(port, patience=0) as source, pytest.raises(UserError, match="broke"):  # noqa: PT012
            for arrival in source:
                delays.append(time.monotonic() - arrival.clock)
                time.sleep(0.3)
    finally:
        server.kill()
        server.wait()
    assert source.dropped > 20
    # Were frames kept, the last one would wait for 12 s.
    assert max(delays) < 1.5


def test_a_stream_that_breaks_is_found_again(movie):
    port = free_port()
    servers = [serve(movie, port)]
    time.sleep(0.5)
    starts = []
    try:
        with connect(port, patience=10) as source:
            for arrival in source:
                if arrival.frame.index == 0:
                    starts.append(arrival.frame.time)
                if source.frames == 20:
                    servers[0].kill()
                    servers[0].wait()
                    servers.append(serve(movie, port))
                if len(starts) == 2 and arrival.frame.index > 5:
                    break
    finally:
        for server in servers:
            server.kill()
            server.wait()
    assert source.reconnects == 1
    assert starts == [0, 0]


@pytest.mark.slow
def test_a_network_camera(tmp_path):
    """Over RTSP: frames in order with their times, none kept back for slow work, and found again after a break."""
    movie = write_video(tmp_path / "a.mp4", frames=300, fps=25)
    numbers, delays, starts = [], [], []
    with RtspServer(movie) as server, LiveSource(server.address, patience=20) as source:
        for arrival in source:
            delays.append(time.monotonic() - arrival.clock)
            starts += [len(numbers)] * (arrival.frame.index == 0)
            numbers.append((read_number(arrival.frame.image), arrival.frame.time))
            if len(starts) == 1 and source.frames == 60:
                server.stop()
                server = RtspServer(movie, port=server.port).__enter__()
            elif len(starts) == 2:
                time.sleep(0.3)
            if len(starts) == 2 and len(numbers) - starts[1] == 8:
                break
        server.stop()
    assert source.reconnects == 1
    assert len(starts) == 2
    for begin, end in ((0, starts[1]), (starts[1], len(numbers))):
        shown = [number for number, _ in numbers[begin:end]]
        assert shown == sorted(set(shown))
        assert [time for _, time in numbers[begin:end]] == pytest.approx([n / 25 for n in shown], abs=0.1)
    assert shown[-1] > 30  # seven in eight were passed over
    assert max(delays) < 1


def test_nobody_there():
    with connect(free_port()) as source, pytest.raises(UserError, match=r"cannot be opened \(connection refused\)"):
        next(iter(source))


def test_no_camera():
    with LiveSource("63") as source, pytest.raises(UserError, match="camera 63: cannot be opened"):
        next(iter(source))


def test_the_run_can_be_ended():
    class Endless(LiveSource):
        def __iter__(self):
            from pipeline.inference.live.source import TimedFrame
            from pipeline.videos.media.reader import Frame

            number = 0
            while True:
                yield TimedFrame(Frame(number, number / 25, None), time.monotonic())  # type: ignore[arg-type]
                number += 1

    def classify(frames):
        for frame in frames:
            yield LivePrediction(frame, None, 0, True, 1)  # type: ignore[arg-type]

    seen = []

    def handle(moment, delay):
        seen.append(moment)
        return len(seen) < 5

    assert run_live(Endless("0"), classify, handle).count == 5
    assert run_live(Endless("0"), classify, lambda *_: True, seconds=0.1).count > 5


# -- the command -----------------------------------------------------------------------------------


def classify_pipe(folder: Path, *options: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "scripts/classify.py", str(folder), "-", *options],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "DISPLAY": ""},
    )


def test_a_pipe_gives_json_lines(make_checkpoint, movie):
    process = classify_pipe(make_checkpoint("fps:5", length=4))
    assert process.stdin is not None
    data = movie.read_bytes()
    pipe = process.stdin

    def feed() -> None:
        for start in range(0, len(data), 4096):
            pipe.write(data[start : start + 4096])
            pipe.flush()
            time.sleep(0.02)
        pipe.close()

    feeder = threading.Thread(target=feed)
    feeder.start()
    assert process.stdout is not None
    assert process.stderr is not None
    with process.stdout, process.stderr:
        lines = [json.loads(line) for line in process.stdout]
        summary = process.stderr.read().decode().splitlines()[-1]
    feeder.join()
    assert process.wait() == 0, summary
    assert lines
    assert [line["time"] for line in lines] == sorted(line["time"] for line in lines)
    for line in lines:
        assert sum(line["probabilities"].values()) == pytest.approx(1, abs=1e-3)
        assert line["label"] in line["probabilities"]
    assert summary.startswith("standard input: 50 frames, ")


@pytest.mark.slow
def test_a_pipe_is_written_with_its_labels(make_checkpoint, movie, tmp_path):
    out = tmp_path / "out.mp4"
    process = classify_pipe(make_checkpoint("fps:5", length=4), "--output", str(out), "--style", "none")
    lines, error = process.communicate(movie.read_bytes())
    assert process.returncode == 0, error
    assert lines
    assert b"written to " + bytes(out) in error.splitlines()[-1]
    with open_video(out) as written, open_video(movie) as source:
        assert 0 < len(written.times()) <= 50
        assert written.times()[-1] <= source.times()[-1] + 0.01


@pytest.mark.slow
@pytest.mark.parametrize("data", [b"", b"this is no video at all" * 100])
def test_a_pipe_that_ends_at_once(make_checkpoint, data):
    process = classify_pipe(make_checkpoint("fps:5", length=4))
    out, error = process.communicate(data)
    assert process.returncode == 2
    assert out == b""
    *told, mistake = error.splitlines()
    assert mistake.startswith(b"error: standard input: ")
    assert [line for line in told if not line.startswith(b"tiny, random")] == []  # what computes


def test_no_screen(make_checkpoint):
    process = classify_pipe(make_checkpoint("fps:5", length=4), "--show")
    _, error = process.communicate(b"")
    assert process.returncode == 2
    assert error.decode() in (
        "error: --show: there is no screen here; without --show predictions are JSON lines\n",
        "error: --show needs Tk, which this Python lacks (on Debian: apt-get install python3-tk), "
        "or opencv-python in place of opencv-python-headless; without --show predictions are JSON lines\n",
    )


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--fps", "15"], "--fps has no meaning for a live source without --output (-); leave it out"),
        (["--codec", "mjpg"], "--codec has no meaning for a live source without --output"),
        (["--each-window"], "--each-window has no meaning for a live source"),
        (["--classes", "Red"], "--classes has no meaning for a live source"),
        (["--output", "a.webm"], "the name of the output must end in one of .avi"),
        (["--no-video"], "--no-video has no meaning"),
        (["--style", "plain"], "--style has no meaning for a live source without --show or --output"),
        (["--timeout", "3"], "--timeout has no meaning for a live source (-); --patience is what it waits"),
        (["--smooth", "centred:9"], "looks ahead"),
        (["--min-duration", "1"], "--min-duration looks ahead"),
        (["--clip-seconds", "1"], "--clip-seconds has no meaning"),
        (["--seconds", "0"], "--seconds 0: expected more than 0"),
        (["--patience", "-1"], "--patience -1: expected seconds, 0 or more"),
    ],
)
def test_what_live_cannot_do(make_checkpoint, capsys, options, line):
    from pipeline.cli import command
    from pipeline.commands.inference.classify import main, parser

    assert command.run(main, [str(make_checkpoint("fps:5")), "-", *options], parser=parser) == 2
    assert line in capsys.readouterr().err
