"""A WebSocket client of a stream, on a real server."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import msgspec
from websockets.sync.client import ClientConnection, connect

from tests.app.driving import BEARER

JSON, PACKED = "act.json.v1", "act.msgpack.v1"
ROW = [0.5, -1.0, 0.25]


class Loop:
    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.packed = socket.subprotocol == PACKED
        self.metadata = self.receive()

    def send(self, **frame: Any) -> None:
        encode = msgspec.msgpack.encode if self.packed else msgspec.json.encode
        self.socket.send(encode(frame), text=not self.packed)

    def receive(self) -> Any:
        data = self.socket.recv(timeout=10)
        assert isinstance(data, bytes if self.packed else str)
        return msgspec.msgpack.decode(data) if isinstance(data, bytes) else json.loads(data)

    def ask(self, **frame: Any) -> Any:
        self.send(**frame)
        return self.receive()

    def step(self, t: int, observation: Any = ROW, **more: Any) -> Any:
        return self.ask(t=t, observation=observation, **more)


class Server:
    def __init__(self, base: str) -> None:
        self.http = httpx2.Client(base_url=base, headers=BEARER)
        self.base = base

    def act(self, reference: str, **body: Any) -> Any:
        return self.http.post(f"/policies/{reference}/act", json=body).json()

    def close(self) -> None:
        self.http.close()

    @contextmanager
    def loop(self, reference: str = "swing", protocol: str | None = None) -> Iterator[Loop]:
        with self.connect(f"/policies/{reference}/stream", protocol) as socket:
            yield Loop(socket)

    def connect(
        self, path: str, protocol: str | None = None, headers: dict[str, str] = BEARER
    ) -> ClientConnection:
        url = self.base.replace("http://", "ws://") + path
        offered: Any = None if protocol is None else [protocol]
        return connect(
            url, additional_headers=headers, subprotocols=offered, proxy=None, compression=None
        )


def packed(observation: Any) -> bytes:
    return msgspec.msgpack.encode({"t": 0, "observation": observation})
