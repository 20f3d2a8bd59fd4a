"""An action as the protocol's answer: JSON, or JSON and behind it the action's bytes."""

from typing import Any

import orjson

from app.inference.requests import HEADER, InferRequest
from app.inference.tensors import ACTION, datatype
from app.serving.answers import Answered, Reply, server_timing
from app.serving.arrays import little_endian_bytes
from app.serving.provenance import NO_HEADERS, fixed_headers


def infer_reply(answered: Answered, request: InferRequest) -> Reply:
    actions, policy = answered.actions, answered.policy
    output: dict[str, Any] = {
        "name": ACTION,
        "datatype": datatype(actions.dtype),
        "shape": list(actions.shape),
    }
    content = b""
    if request.is_binary:
        content = little_endian_bytes(actions)
        output["parameters"] = {"binary_data_size": len(content)}
    else:
        output["data"] = actions.reshape(-1).tolist()
    body: dict[str, Any] = {
        "model_name": policy.name,
        "model_version": str(policy.version),
        "outputs": [output],
    }
    if request.id is not None:
        body["id"] = request.id
    timing = server_timing(answered.forwarded, answered.finish())
    head = orjson.dumps(body)
    provenance = policy.provenance
    if not request.is_binary:
        return Reply(provenance.json_headers, NO_HEADERS, timing, head)
    size_of_head = fixed_headers([(HEADER.lower().encode(), b"%d" % len(head))])
    return Reply(provenance.raw_headers, size_of_head, timing, head + content)
