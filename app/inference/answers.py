"""An action as the protocol's answer: JSON, or JSON and behind it the action's bytes."""

from typing import Any

import orjson

from app.inference.requests import HEADER, InferRequest
from app.inference.tensors import ACTION, datatype
from app.serving.answers import Answered, Reply, server_timing
from app.serving.arrays import little_endian


def infer_reply(answered: Answered, request: InferRequest) -> Reply:
    actions, policy = answered.actions, answered.policy
    output: dict[str, Any] = {
        "name": ACTION,
        "datatype": datatype(actions.dtype),
        "shape": list(actions.shape),
    }
    content = b""
    if request.is_binary:
        content = actions.astype(little_endian(actions.dtype), copy=False).tobytes()
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
    total_us = answered.finish()
    head = orjson.dumps(body)
    headers = [
        (b"content-length", b"%d" % (len(head) + len(content))),
        policy.version_header,
        server_timing(answered.forwarded, total_us),
    ]
    if not request.is_binary:
        return [(b"content-type", b"application/json"), *headers], head
    form = [
        (b"content-type", b"application/octet-stream"),
        (HEADER.lower().encode(), b"%d" % len(head)),
    ]
    return [*form, *headers], head + content
