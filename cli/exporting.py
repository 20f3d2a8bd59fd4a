"""A policy as a folder, in the form that model hubs have: its files beside a card."""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson

from cli.model_card import model_card
from cli.server import ask_server, fetch_file
from store.errors import SetupError
from store.servable import GRAPH, MANIFEST, MODEL

CARD = "README.md"


def export_policy(url: str, key: str, reference: str, folder: Path) -> dict[str, Any]:
    """The policy as the server answers it. Nothing is written unless all is there and whole."""
    failed = f"{url} does not give the policy {reference!r}"
    policy = ask_server(
        url,
        key,
        lambda client: client.get(f"/policies/{quote(reference, safe='')}"),
        wanted=200,
        failed=failed,
    )
    files = f"/jobs/{policy['job_id']}/checkpoints/{policy['checkpoint_id']}/files"
    contents = {
        name: fetch_file(url, key, f"{files}/{name}", failed=failed) for name in (GRAPH, MANIFEST)
    }
    _require_whole(GRAPH, contents[GRAPH], policy["sha256"])
    manifest = orjson.loads(contents[MANIFEST])
    listed = ask_server(url, key, lambda client: client.get(files), wanted=200, failed=failed)
    # One that an earlier release exported may be told of and not be there.
    if "model" in manifest and MODEL in {each["name"] for each in listed["data"]}:
        contents[MODEL] = fetch_file(url, key, f"{files}/{MODEL}", failed=failed)
        _require_whole(MODEL, contents[MODEL], manifest["model"]["sha256"])
    card = model_card(policy, manifest)
    _write(folder, {**contents, CARD: card.encode()})
    return policy


def _require_whole(name: str, content: bytes, recorded: str) -> None:
    digest = sha256(content).hexdigest()
    if digest != recorded:
        raise SetupError(
            f"{name} came with the sha256 {digest}, recorded is {recorded}: "
            "it was damaged on its way or in the database."
        )


def _write(folder: Path, contents: Mapping[str, bytes]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise SetupError(f"{folder} is not empty. Name a new folder, or an empty one.")
        for name, content in contents.items():
            (folder / name).write_bytes(content)
    except OSError as error:
        raise SetupError(f"{folder} cannot be written: {error.strerror}.") from None
