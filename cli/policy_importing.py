"""Sends a policy's folder to a service."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

from cli.exporting import CARD
from cli.importing import TIMEOUT
from cli.model_card import read_card
from cli.server import ask_server
from store.errors import SetupError
from store.servable import GRAPH, MANIFEST, MODEL

PATH = "/policies/import"
_FAILED = "{url} does not take the policy"


def send_policy(url: str, key: str, folder: Path, name: str | None) -> dict[str, Any]:
    """The policy as the server answers it. The card's `name` is for where none is given and the
    server has no policy of that name: a stranger's card is not to become the newest of one of ours.
    Its `sha256` is compared; what else lies in the folder, as model hubs add, stays there."""
    if not folder.is_dir():
        raise SetupError(f"{folder} is no folder. Name the one with the policy's files.")
    contents = [(each, _read(folder / each)) for each in (MANIFEST, GRAPH)]
    if (folder / MODEL).exists():
        contents.append((MODEL, _read(folder / MODEL)))
    told = _told(folder / CARD)
    if name is None:
        _require_new(url, key, told.get("name"))
    else:
        told["name"] = name
    parts = [(each, (each, content)) for each, content in contents]
    return ask_server(
        url,
        key,
        lambda client: client.post(PATH, params=told, files=parts),
        wanted=(200, 201),
        failed=_FAILED.format(url=url),
        timeout=TIMEOUT,
    )


def _require_new(url: str, key: str, name: str | None) -> None:
    if name is None:
        raise SetupError(f"{CARD} tells no name. Give the policy one with --name.")
    found = ask_server(
        url,
        key,
        lambda client: client.get(f"/policies/{quote(name, safe='')}"),
        wanted=(200, 404),
        failed=_FAILED.format(url=url),
    )
    if found.get("code") != "policy_not_found":
        raise SetupError(
            f"{url} has a policy {name!r} already, the name in {CARD}. Give --name {name} if this "
            "is to be its next version, which acts at once, else --name with another one."
        )


def _told(card: Path) -> dict[str, str]:
    found = read_card(_read(card).decode(errors="replace")) if card.exists() else {}
    return {key: str(found[key]) for key in ("name", "sha256") if key in found}


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SetupError(f"{path} cannot be read: {error.strerror}.") from None
