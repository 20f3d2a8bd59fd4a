"""A body that is too large is refused before it is read, over a real connection."""

import socket
from collections.abc import Callable, Iterator

import pytest

from store.database import Database
from store.settings import Settings
from tests.app.driving import KEY, row_counts

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

LIMIT = 1 << 20
HEAD = (
    "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    f"Authorization: Bearer {KEY}\r\n"
)


@pytest.fixture
def connect(serve: Callable[[], str]) -> Iterator[Callable[[], socket.socket]]:
    port = int(serve().rsplit(":", 1)[1])
    opened: list[socket.socket] = []

    def start() -> socket.socket:
        opened.append(socket.create_connection(("127.0.0.1", port), timeout=10))
        return opened[-1]

    yield start
    for each in opened:
        each.close()


def status_of(connection: socket.socket) -> int:
    return int(connection.recv(65_536).split(b" ", 2)[1])


def padded(size: int) -> bytes:
    return b'{"name": "' + b"x" * (size - 12) + b'"}'


@pytest.mark.parametrize("path", ["/jobs", "/policies", "/policies/any/act"])
@pytest.mark.parametrize(("size", "too_large"), [(LIMIT, False), (LIMIT + 1, True)])
def test_one_byte_decides(
    connect: Callable[[], socket.socket],
    database: Database,
    settings: Settings,
    path: str,
    size: int,
    too_large: bool,
) -> None:
    assert settings.max_body_bytes == LIMIT
    connection = connect()
    connection.sendall(f"{HEAD.format(path=path)}Content-Length: {size}\r\n\r\n".encode())
    if not too_large:
        connection.sendall(padded(size))
    # The answer to one that is too large comes without a byte of the body.
    assert (status_of(connection) == 413) == too_large
    assert set(row_counts(database).values()) == {0}


@pytest.mark.parametrize("path", ["/jobs", "/policies/any/act"])
def test_a_body_in_chunks_is_cut_off_at_the_limit(
    connect: Callable[[], socket.socket], database: Database, path: str
) -> None:
    connection = connect()
    connection.sendall(f"{HEAD.format(path=path)}Transfer-Encoding: chunked\r\n\r\n".encode())
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    for _ in range(LIMIT // 0x10000 + 1):  # without the last chunk: it never ends
        connection.sendall(chunk)
    assert status_of(connection) == 413
    assert set(row_counts(database).values()) == {0}


def test_a_stranger_is_refused_before_anything_is_read(
    connect: Callable[[], socket.socket],
) -> None:
    connection = connect()
    head = HEAD.format(path="/jobs").replace(KEY, "wrong")
    connection.sendall(f"{head}Content-Length: {LIMIT + 1}\r\n\r\n".encode())
    assert status_of(connection) == 401


@pytest.mark.parametrize("media_type", ["application/octet-stream", "application/x-npy"])
@pytest.mark.parametrize("more", [0, 1])
def test_observations_as_bytes_may_be_larger(
    connect: Callable[[], socket.socket], settings: Settings, media_type: str, more: int
) -> None:
    size = 8 * LIMIT + more
    assert settings.max_act_bytes == 8 * LIMIT
    connection = connect()
    head = HEAD.format(path="/policies/any/act").replace("application/json", media_type)
    connection.sendall(f"{head}X-Shape: {8 * LIMIT}\r\nX-Dtype: uint8\r\n".encode())
    connection.sendall(f"Content-Length: {size}\r\n\r\n".encode())
    if not more:
        connection.sendall(bytes(size))
    assert (status_of(connection) == 413) == bool(more)
