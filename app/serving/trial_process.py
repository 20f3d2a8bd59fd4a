"""`python -m app.serving.trial_process`: opens one policy as the server would, and acts by it.

Standard input has one line of JSON, then the manifest, the graph and the model's graph. Standard
output says null, or the `file` and `why` it is not served. See `app.serving.trial`.
"""

import hashlib
import json
import os
import resource
import sys
from collections.abc import Mapping
from typing import IO, Any

import numpy as np

from app.refusals import PolicyBroken
from app.serving.bundle import LATENT, Actor, open_policy, open_session
from app.serving.world import World, open_world
from store.servable import GRAPH, MODEL, ServablePolicy

FLOATS = "tensor(float)"
Shapes = Mapping[str, list[Any]]


class NotServed(Exception):
    def __init__(self, file: str, why: str) -> None:
        super().__init__(why)
        self.told = {"file": file, "why": why}


def tried(manifest: dict[str, Any], onnx: bytes, model: bytes, max_batch: int) -> None:
    """Raises `NotServed`."""
    latent = _require_form(manifest, onnx)
    actor = _opened(manifest, onnx)
    _require_rows(manifest, actor, max_batch)
    if model:
        _try_model(manifest, model, actor, latent)


def _require_form(manifest: Mapping[str, Any], onnx: bytes) -> int | None:
    """The width of the embedding, where there is one."""
    inputs, outputs = _shapes(GRAPH, onnx)
    _require(GRAPH, "inputs", inputs, {"observation": manifest["observation_dim"]})
    if "policy" not in outputs:
        raise NotServed(GRAPH, f"its outputs are {', '.join(outputs)}; needed: policy")
    _require(GRAPH, "output", _only(outputs, "policy"), {"policy": manifest["action_dim"]})
    if LATENT not in outputs:
        return None
    width = outputs[LATENT][-1]
    _require(GRAPH, "output", _only(outputs, LATENT), {LATENT: width})
    return int(width)


def _shapes(file: str, graph: bytes) -> tuple[Shapes, Shapes]:
    try:
        session = open_session(graph)
    except Exception as error:  # ONNX Runtime's own have no common base
        raise NotServed(file, f"ONNX Runtime cannot open it: {_shown(error)}") from None
    for each in (*session.get_inputs(), *session.get_outputs()):
        if each.type != FLOATS:
            raise NotServed(file, f"its {each.name[:40]!r} is a {each.type}; needed: {FLOATS}")
        if len(each.shape) != 2 or isinstance(each.shape[0], int):
            shape = f"{each.shape!r:.80}"
            raise NotServed(file, f"its {each.name[:40]!r} has the shape {shape}: no rows")
    inputs, outputs = session.get_inputs(), session.get_outputs()
    return {each.name: each.shape for each in inputs}, {each.name: each.shape for each in outputs}


def _only(shapes: Shapes, name: str) -> Shapes:
    return {name: shapes[name]}


def _require(file: str, what: str, found: Shapes, widths: Mapping[str, Any]) -> None:
    """In this order, too: two inputs are told apart by it."""
    told = [(name, shape[-1]) for name, shape in found.items()]
    if told != list(widths.items()) or not all(type(width) is int for width in widths.values()):
        needed = ", ".join(f"{name} (batch, {width})" for name, width in widths.items())
        got = ", ".join(f"{name} (batch, {width})" for name, width in told)
        raise NotServed(file, f"it has the {what} {got[:200]}; needed: {needed}")


def _opened(manifest: dict[str, Any], onnx: bytes) -> Actor:
    candidate = ServablePolicy(
        id="",
        name="",
        version=0,
        checkpoint_id="",
        sha256=hashlib.sha256(onnx).hexdigest(),
        onnx=onnx,
        manifest=manifest,
    )
    try:
        return open_policy(candidate)
    except PolicyBroken as broken:
        raise NotServed(GRAPH, _with_cause(broken)) from None


def _require_rows(manifest: Mapping[str, Any], actor: Actor, max_batch: int) -> None:
    """One observation alone, and as many as are ever computed at once."""
    golden = np.array(manifest["golden"]["observations"], np.float32)
    for size in (1, max_batch):
        rows = np.resize(golden, (size, golden.shape[1]))
        for forward in filter(None, (actor.forward, actor.latent)):
            try:
                shape = forward(rows).shape
            except Exception as error:  # as above
                raise NotServed(GRAPH, f"it cannot run {size} rows: {_shown(error)}") from None
            if shape[0] != size:
                raise NotServed(GRAPH, f"it makes {shape[0]} rows of {size}")


def _try_model(manifest: dict[str, Any], model: bytes, actor: Actor, latent: int | None) -> None:
    if latent is None:
        raise NotServed(MODEL, f"{GRAPH} has no output {LATENT} that it could begin with")
    inputs, outputs = _shapes(MODEL, model)
    _require(MODEL, "inputs", inputs, {"zs": latent, "action": manifest["action_dim"]})
    widths = {"q": 2, "reward": 1, "termination": 1, "next_zs": latent}
    for name in widths:
        if name not in outputs:
            raise NotServed(MODEL, f"its outputs are {', '.join(outputs)}; needed: {name}, too")
        _require(MODEL, "output", _only(outputs, name), _only_width(widths, name))
    try:
        world: World = open_world(model, manifest, actor, "")
    except PolicyBroken as broken:
        raise NotServed(MODEL, _with_cause(broken)) from None
    assert world.zs_dim == latent


def _only_width(widths: Mapping[str, int], name: str) -> Mapping[str, int]:
    return {name: widths[name]}


def _with_cause(broken: PolicyBroken) -> str:
    cause = broken.__cause__
    return broken.why if cause is None else f"{broken.why}: {_shown(cause)}"


def _shown(error: BaseException) -> str:
    """ONNX Runtime's texts may have what is in the file, and nothing of this server."""
    lines = str(error).splitlines()
    return lines[0][:200] if lines else type(error).__name__


def _limit(kind: int, most: int) -> None:
    """Never above what this process was given."""
    _, hard = resource.getrlimit(kind)
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (most, most))


def _answering() -> IO[str]:
    """Standard output; what libraries write there from now on goes to the log instead."""
    answer = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return answer


def main() -> None:
    answer = _answering()
    order = json.loads(sys.stdin.buffer.readline())
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_CPU, order["cpu_seconds"])
    _limit(resource.RLIMIT_AS, order["memory_bytes"])
    manifest, onnx, model = (sys.stdin.buffer.read(size) for size in order["sizes"])
    told = None
    try:
        tried(json.loads(manifest), onnx, model, order["max_batch"])
    except NotServed as refused:
        told = refused.told
    except MemoryError:
        told = {"file": GRAPH, "why": "it takes more memory than a policy of its size may"}
    with answer:
        json.dump(told, answer)


if __name__ == "__main__":
    main()
