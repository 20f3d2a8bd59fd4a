"""A client that costs little beside the server: one blocking socket, and frames made by hand.

Its masks are zero, so that a frame is its bytes as they are; it reads unfragmented frames only.
"""

import base64
import os
import socket
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

TEXT, BINARY = 0x81, 0x82
_CLOSE = bytes([0x88, 0x80, 0, 0, 0, 0])


class Client:
    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._read = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.socket.close()

    def post(self, request: bytes) -> bytes:
        """The body of the answer."""
        self.socket.sendall(request)
        head = self._until(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        _, _, rest = head.lower().partition(b"content-length:")
        return self._exactly(int(rest.partition(b"\r\n")[0]))

    def open_socket(self, path: str, headers: str = "") -> None:
        nonce = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {nonce}\r\n{headers}\r\n".encode()
        )
        head = self._until(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101"), head

    def ask(self, kind: int, payload: bytes) -> bytes:
        size = len(payload)
        length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2)
        self.socket.sendall(b"%c%b\0\0\0\0%b" % (kind, length, payload))
        return self.receive()

    def receive(self) -> bytes:
        """What the next frame holds, pings aside, which are not answered."""
        while True:
            kind, size = self._exactly(2)
            if size >= 126:
                size = int.from_bytes(self._exactly(2 if size == 126 else 8))
            payload = self._exactly(size)
            if kind in (TEXT, BINARY):
                return payload
            assert kind == 0x89, (hex(kind), payload)

    def close_socket(self) -> None:
        self.socket.sendall(_CLOSE)

    def _exactly(self, size: int) -> bytes:
        while len(self._read) < size:
            self._more()
        taken, self._read = self._read[:size], self._read[size:]
        return taken

    def _until(self, end: bytes) -> bytes:
        while end not in self._read:
            self._more()
        head, _, self._read = self._read.partition(end)
        return head + end

    def _more(self) -> None:
        part = self.socket.recv(65536)
        assert part, "the server closed the connection"
        self._read += part


def round_trips(ask: Callable[[int], bytes], seconds: float) -> tuple[list[float], list[bytes]]:
    """Microseconds of each, and the answers; `ask` is given the number of the step."""
    taken: list[float] = []
    answers: list[bytes] = []
    now = time.perf_counter()
    until = now + seconds
    t = 0
    while now < until:
        answers.append(ask(t))
        t += 1
        after = time.perf_counter()
        taken.append(1e6 * (after - now))
        now = after
    return taken, answers
