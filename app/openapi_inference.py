"""The infer route for the OpenAPI document, by hand, and the errors of all routes under `/v2`."""

from typing import Any

from app.inference.infer import PATHS
from app.inference.requests import HEADER, PARAMETERS
from app.inference.tensors import ACTION, NUMBER_TYPES
from app.serving.requests import MAX_DEADLINE_MS, MAX_SEED, MODES

ERROR: dict[str, Any] = {
    "type": "object",
    "description": "What is wrong, in the Open Inference Protocol's form.",
    "properties": {"error": {"type": "string"}},
    "required": ["error"],
}
_JSON, _RAW = "application/json", "application/octet-stream"
_STRING: dict[str, Any] = {"type": "string"}
_BINARY = {"type": "string", "format": "binary"}
_SIZE = {"type": "integer", "minimum": 0, "description": "Its bytes are behind the JSON."}
_TENSOR: dict[str, Any] = {
    "name": _STRING,
    "shape": {"type": "array", "minItems": 1, "items": {"type": "integer", "minimum": 1}},
    "datatype": {"enum": list(NUMBER_TYPES)},
    "data": {"type": "array", "items": {}, "description": "Nested, or all in one list."},
    "parameters": {"type": "object", "properties": {"binary_data_size": _SIZE}},
}
_PARAMETERS: dict[str, dict[str, Any]] = {
    "mode": {"enum": list(MODES), "default": MODES[0]},
    "seed": {"type": ["integer", "null"], "minimum": 0, "maximum": MAX_SEED},
    "deadline_ms": {
        "type": ["number", "null"],
        "exclusiveMinimum": 0,
        "maximum": MAX_DEADLINE_MS,
    },
    "binary_data_output": {"type": "boolean", "default": False},
}
_OUTPUT: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "name": {"const": ACTION},
        "parameters": {"type": "object", "properties": {"binary_data": {"type": "boolean"}}},
    },
    "required": ["name"],
}
_REQUEST: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "id": {"type": ["string", "null"]},
        "parameters": {
            "type": ["object", "null"],
            "additionalProperties": False,
            "properties": {name: _PARAMETERS[name] for name in PARAMETERS},
        },
        "inputs": {
            "type": "array",
            "minItems": 1,
            "description": "`observation` or its parts, as the model's `inputs`; `action_mask`.",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "properties": _TENSOR,
                "required": ["name", "shape", "datatype"],
            },
        },
        "outputs": {"type": ["array", "null"], "minItems": 1, "items": _OUTPUT},
    },
    "required": ["inputs"],
}
_ANSWER: dict[str, Any] = {
    "type": "object",
    "properties": {
        **dict.fromkeys(("model_name", "model_version", "id"), _STRING),
        "outputs": {
            "type": "array",
            "items": {"type": "object", "properties": _TENSOR},
        },
    },
    "required": ["model_name", "model_version", "outputs"],
}
_HEADER = f"How many bytes of the body are JSON, where tensors follow it: `{HEADER}: 180`."


def infer_operations() -> dict[str, Any]:
    """By path."""
    return {path: {"post": _operation(path)} for path in PATHS}


def _operation(path: str) -> dict[str, Any]:
    named = {"name": "A policy's name.", "version": "Without it, the newest one of the name."}
    parameters = [
        {"name": name, "in": "path", "required": True, "description": text, "schema": _STRING}
        for name, text in named.items()
        if f"{{{name}}}" in path
    ]
    header = {"name": HEADER, "in": "header", "description": _HEADER, "schema": _STRING}
    return {
        "tags": ["inference protocol"],
        "summary": "Infer",
        "description": "Acts, as the Open Inference Protocol says it: a batch in, a batch out.",
        "operationId": "infer_version" if "{version}" in path else "infer",
        "parameters": [*parameters, header],
        "requestBody": {"required": True, "content": _content(_REQUEST)},
        "responses": {
            "200": {
                "description": "The actions, in the environment's units.",
                "headers": {HEADER: {"description": _HEADER, "schema": _STRING}},
                "content": _content(_ANSWER),
            }
        },
    }


def _content(schema: dict[str, Any]) -> dict[str, Any]:
    return {_JSON: {"schema": schema}, _RAW: {"schema": _BINARY}}
