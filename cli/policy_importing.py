"""Sends a policy's folder to a service."""

from pathlib import Path
from typing import Any

from cli.exporting import CARD
from cli.importing import TIMEOUT
from cli.model_card import read_card
from cli.server import ask_server
from store.errors import SetupError
from store.servable import GRAPH, MANIFEST, MODEL

PATH = "/policies/import"


def send_policy(url: str, key: str, folder: Path, name: str | None) -> dict[str, Any]:
    """The policy as the server answers it. The card's `name` is for where none is given, and its
    `sha256` is compared; what else lies in the folder, as model hubs add, stays there."""
    if not folder.is_dir():
        raise SetupError(f"{folder} is no folder. Name the one with the policy's files.")
    contents = [(each, _read(folder / each)) for each in (MANIFEST, GRAPH)]
    if (folder / MODEL).exists():
        contents.append((MODEL, _read(folder / MODEL)))
    told = _told(folder / CARD)
    if name is not None:
        told["name"] = name
    parts = [(each, (each, content)) for each, content in contents]
    return ask_server(
        url,
        key,
        lambda client: client.post(PATH, params=told, files=parts),
        wanted=(200, 201),
        failed=f"{url} does not take the policy",
        timeout=TIMEOUT,
    )


def _told(card: Path) -> dict[str, str]:
    found = read_card(_read(card).decode(errors="replace")) if card.exists() else {}
    return {key: str(found[key]) for key in ("name", "sha256") if key in found}


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SetupError(f"{path} cannot be read: {error.strerror}.") from None
