"""A small RTSP server, as in a network camera: H.264 in RTP packets among the answers (RFC 2326, 10.12).

    with RtspServer("movie.mp4") as server:
        server.address     # rtsp://127.0.0.1:PORT/camera

ffmpeg cuts the movie into RTP packets and sends them by UDP in real time; this passes them on to one viewer at a time.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
from pathlib import Path
from types import TracebackType

from pipeline.videos.media.ffmpeg import find_ffmpeg


class RtspServer:
    """Serves a movie from its start to each viewer; a ``with`` block ends it as a camera that loses its power.

    Args:
        movie: a file with H.264 in it.
        port: where to listen; any free one if 0.
        options: of ffmpeg before its input, such as ``-stream_loop -1``.
    """

    def __init__(self, movie: str | Path, *, port: int = 0, options: tuple[str, ...] = ()) -> None:
        self._movie, self._options = Path(movie), options
        self._listener = socket.create_server(("127.0.0.1", port))
        self._port: int = self._listener.getsockname()[1]
        self._viewer: socket.socket | None = None
        self._stopped = False
        self._thread = threading.Thread(target=self._serve, name="rtsp", daemon=True)

    @property
    def port(self) -> int:
        """Where it listens, or did."""
        return self._port

    @property
    def address(self) -> str:
        return f"rtsp://127.0.0.1:{self.port}/camera"

    def __enter__(self) -> RtspServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Close all connections at once; more than once does no harm."""
        self._stopped = True
        for connection in (self._viewer, self._listener):
            if connection is not None:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
                connection.close()
        self._thread.join(timeout=10)

    def _serve(self) -> None:
        while not self._stopped:
            with contextlib.suppress(OSError):
                self._viewer, _ = self._listener.accept()
                with self._viewer, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as packets:
                    packets.bind(("127.0.0.1", 0))
                    packets.settimeout(2)
                    self._talk(self._viewer, packets)

    def _talk(self, viewer: socket.socket, packets: socket.socket) -> None:
        """Answer what a viewer asks until it wants the pictures; then send them until somebody goes."""
        target = f"rtp://127.0.0.1:{packets.getsockname()[1]}"
        with viewer.makefile("rb") as requests:
            while line := requests.readline():
                verb, fields = line.split()[0].decode(), {}
                while (field := requests.readline().strip()) != b"":
                    name, _, value = field.decode().partition(":")
                    fields[name.lower()] = value.strip()
                body, extra = b"", ""
                if verb == "DESCRIBE":
                    body = self._describe()
                    extra = f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n"
                elif verb == "SETUP":
                    extra = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"
                head = f"RTSP/1.0 200 OK\r\nCSeq: {fields['cseq']}\r\nSession: 1\r\n{extra}\r\n"
                viewer.sendall(head.encode() + body)
                if verb == "PLAY":
                    self._play(viewer, packets, target)
                    return

    def _describe(self) -> bytes:
        """What ffmpeg says of the packets that it would send; what it sends for that goes nowhere (port 9)."""
        command = [find_ffmpeg(), "-loglevel", "quiet", "-i", str(self._movie), "-t", "0", "-c", "copy", "-an"]
        said = subprocess.run(
            [*command, "-f", "rtp", "rtp://127.0.0.1:9"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True
        )
        lines = said.stdout.decode().replace("SDP:", "").strip().splitlines()
        return ("\r\n".join(line for line in lines if line) + "\r\na=control:pictures\r\n").encode()

    def _play(self, viewer: socket.socket, packets: socket.socket, target: str) -> None:
        command = [
            find_ffmpeg(),
            "-loglevel",
            "quiet",
            "-re",
            *self._options,
            "-i",
            str(self._movie),
            "-c",
            "copy",
            "-an",
        ]
        sender = subprocess.Popen([*command, "-f", "rtp", f"{target}?pkt_size=1400"], stdin=subprocess.DEVNULL)
        try:
            while not self._stopped:
                packet = packets.recv(65536)
                viewer.sendall(b"$\0" + len(packet).to_bytes(2, "big") + packet)
        finally:
            sender.kill()
            sender.wait()
