"""Sends a folder with a checkpoint's files to a service."""

from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import httpx2

from cli.server import ask_server
from store.errors import SetupError

PATH = "/checkpoints/import"
# The server reads and syncs all of it before it answers.
TIMEOUT = httpx2.Timeout(60.0, read=1_800.0)


def send_checkpoint(url: str, key: str, folder: Path, spec: Path) -> dict[str, Any]:
    """The job as the server answers it. Every file of the folder is sent, but the spec if it lies
    there: the server says which it takes."""
    with ExitStack() as stack:
        parts = [("spec", _opened(stack, spec))]
        # The small ones first: what they say wrong is said before the large ones are under way.
        parts += [(path.name, _opened(stack, path)) for path in _files(folder, spec)]
        return ask_server(
            url,
            key,
            lambda client: client.post(PATH, files=parts),
            wanted=201,
            failed=f"{url} does not take the checkpoint",
            timeout=TIMEOUT,
        )


def _files(folder: Path, spec: Path) -> list[Path]:
    if not folder.is_dir():
        raise SetupError(f"{folder} is no folder. Name the one with the checkpoint's files.")
    paths = [path for path in folder.iterdir() if path.is_file()]
    return sorted(
        (path for path in paths if path.resolve() != spec.resolve()),
        key=lambda path: (path.stat().st_size, path.name),
    )


def _opened(stack: ExitStack, path: Path) -> IO[bytes]:
    try:
        return stack.enter_context(path.open("rb"))
    except OSError as error:
        raise SetupError(f"{path} cannot be read: {error.strerror}.") from None
