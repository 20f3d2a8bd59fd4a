"""Requests as bytes on a real connection, and passes that wait to be let through."""

import socket
import threading
from typing import Any

import numpy as np
import orjson

from app.serving.bundle import Forward
from app.serving.bundle import _forward as bundle_forward
from mrq_core.spaces import Floats
from tests.app.driving import BEARER

KEY = BEARER["Authorization"]
PATH = "/policies/swing:1/act"  # what it means is looked up rarely
OBSERVATION = [1.0, 0.5, 0.25]
PASSING = [1.0, 0.5, 0.75]  # of the same length, and no gate stops it
RAW = np.array(OBSERVATION, "<f4").tobytes()
OCTETS = {"Content-Type": "application/octet-stream", "X-Shape": "3"}


class Wire:
    def __init__(self, url: str) -> None:
        self.url = url
        host, port = url.removeprefix("http://").split(":")
        self.socket = socket.create_connection((host, int(port)), timeout=20)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")

    def send(self, *parts: bytes) -> None:
        for part in parts:
            self.socket.sendall(part)

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        while (status := int(self.file.readline().split()[1])) == 100:
            self.file.readline()
        headers = {}
        while line := self.file.readline().strip():
            name, _, value = line.decode().partition(": ")
            headers[name.lower()] = value
        return status, headers, self.file.read(int(headers["content-length"]))

    def close(self) -> None:
        self.file.close()
        self.socket.close()


def request(
    body: Any = None,
    path: str = PATH,
    version: Any = "1.1",
    length: Any = True,
    **headers: Any,
) -> bytes:
    content = (
        body if isinstance(body, bytes) else orjson.dumps(body or {"observation": OBSERVATION})
    )
    usual = {"Host": "test", "Authorization": KEY, "Content-Type": "application/json"}
    usual |= {"Content-Length": str(len(content))} if length else {}
    lines = [f"POST {path} HTTP/{version}"]
    lines += [f"{name}: {value}" for name, value in (usual | headers).items()]
    return "\r\n".join([*lines, "", ""]).encode() + content


class Gate:
    """Forward passes on the thread that wait until they are let through."""

    def __init__(self) -> None:
        self.reached, self.open = threading.Event(), threading.Event()

    def forward(self, session: Any, output: str) -> Forward:
        forward = bundle_forward(session, output)

        def gated(rows: Floats) -> Floats:
            if not np.any(rows == 0.25):  # those that are measured and golden
                return forward(rows)
            self.reached.set()
            assert self.open.wait(20)
            return forward(rows)

        return gated
