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

GRAPH, MANIFEST, CARD = "policy.onnx", "policy.json", "README.md"


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
    digest = sha256(contents[GRAPH]).hexdigest()
    if digest != policy["sha256"]:
        raise SetupError(
            f"{GRAPH} came with the sha256 {digest}, recorded is {policy['sha256']}: "
            "it was damaged on its way or in the database."
        )
    card = model_card(policy, orjson.loads(contents[MANIFEST]))
    _write(folder, {**contents, CARD: card.encode()})
    return policy


def _write(folder: Path, contents: Mapping[str, bytes]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise SetupError(f"{folder} is not empty. Name a new folder, or an empty one.")
        for name, content in contents.items():
            (folder / name).write_bytes(content)
    except OSError as error:
        raise SetupError(f"{folder} cannot be written: {error.strerror}.") from None
