"""The sockets of `mrq up`, bound here and inherited by the servers: so a server's restart keeps the
address, and its clients wait instead of being refused."""

import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from store.errors import SetupError

BACKLOG = 1024
LAST_PORT = 65535


@dataclass(frozen=True)
class Listening:
    """Of one server: the port of all, and where there are several one of its own, for what only it
    knows, its sessions and its metrics."""

    name: str
    sockets: Sequence[socket.socket]

    @property
    def url(self) -> str:
        return _url(self.sockets[0])

    @property
    def own_url(self) -> str | None:
        return _url(self.sockets[1]) if len(self.sockets) > 1 else None

    @property
    def server_name(self) -> str:
        return self.name if len(self.sockets) > 1 else ""


@contextmanager
def listeners(host: str, port: int, servers: int) -> Iterator[list[Listening]]:
    """With several, the kernel gives each server its part of the connections; the servers' own
    ports are the following ones. `port` 0: free ones. Raises `SetupError`."""
    with ExitStack() as stack:
        if servers == 1:
            yield [Listening("server", [stack.enter_context(_listen(host, port))])]
            return
        if port + servers > LAST_PORT:
            raise SetupError(f"--port={port} leaves no room for {servers} servers' own ports.")
        _listen(host, port).close()  # with shared ports alone two services would share one
        first, found = port, []
        for number in range(1, servers + 1):
            shared = stack.enter_context(_listen(host, port, shared=True))
            port = shared.getsockname()[1]
            own = stack.enter_context(_listen(host, first and first + number))
            found.append(Listening(f"server-{number}", [shared, own]))
        yield found


def _listen(host: str, port: int, *, shared: bool = False) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise SetupError(
            f"Cannot listen on {host}:{port}: {error.strerror}. "
            "Choose another port with --port (0 picks a free one)."
        ) from None
    listener.listen(BACKLOG)
    return listener


def _url(listener: socket.socket) -> str:
    address, port = listener.getsockname()[:2]
    return f"http://{f'[{address}]' if ':' in address else address}:{port}"
