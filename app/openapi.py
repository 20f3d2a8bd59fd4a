"""What OpenAPI cannot see by itself: bodies read by hand, the act route, the key, the problems."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from app.auth import is_open
from app.inference.errors import is_inference
from app.multipart import MEDIA_TYPE as MULTIPART
from app.openapi_act import act_operation
from app.openapi_inference import ERROR as INFERENCE_ERROR
from app.openapi_inference import infer_operations
from app.problem import MEDIA_TYPE
from app.routes import datasets, imports, policy_import
from app.routes.aliases import AliasMove
from app.routes.batch import Batch
from app.routes.feedback import GivenFeedback, OfLog
from app.routes.imagine import Imagination
from app.routes.jobs import Revision
from app.routes.lifecycle import Cancellation, Extension
from app.routes.policies import Promotion
from app.routes.traffic import TrafficSettings
from app.serving.act import PATH
from mrq_core.layout import AGENT, EPISODE, LOOSE, STATE
from store.dataset_formats import FORMATS
from store.seeds import JobRequest
from store.servable import GRAPH, MANIFEST, MODEL

JSON = "application/json"
_REF = "#/components/schemas/"
_STRING = {"type": "string"}
_BODIES: dict[str, type[BaseModel]] = {
    "/jobs": JobRequest,
    "/jobs/batch": Batch,
    "/jobs/{job_id}/cancel": Cancellation,
    "/jobs/{job_id}/extend": Extension,
    "/job-groups/{group_id}/cancel": Cancellation,
    "/job-groups/{group_id}/extend": Extension,
    "/policies": Promotion,
    "/policies/{name}/aliases/{alias}": AliasMove,
    "/policies/{name}/traffic": TrafficSettings,
    "/policies/{reference}/imagine": Imagination,
    "/policies/{reference}/feedback": GivenFeedback,
    "/policies/{reference}/feedback/dataset": OfLog,
}
_PUT = frozenset({"/policies/{name}/aliases/{alias}", "/policies/{name}/traffic"})
_OPTIONAL = frozenset({"/jobs/{job_id}/cancel", "/job-groups/{group_id}/cancel"})
_OVERRIDES = {
    "type": "object",
    "description": "A JSON merge patch (RFC 7396) of the job's spec.",
}

_BINARY = {"type": "string", "format": "binary"}
_FILES: dict[str, Any] = {
    "type": "object",
    "description": (
        "The files of a training checkpoint under their names, all of them or the first two alone; "
        "`spec` is the job spec that they belong to."
    ),
    "properties": {
        "spec": {"$ref": _REF + "JobRequest", "description": "Without `seeds`."},
        **dict.fromkeys((STATE, AGENT, EPISODE, LOOSE), _BINARY),
    },
    "patternProperties": {r"^replay-[0-9]+\.safetensors$": _BINARY},
    "additionalProperties": False,
    "required": ["spec", STATE, AGENT],
}
_POLICY_FILES: dict[str, Any] = {
    "type": "object",
    "description": "The files of a policy under their names; `model.onnx` where there is one.",
    "properties": dict.fromkeys((MANIFEST, GRAPH, MODEL), _BINARY),
    "additionalProperties": False,
    "required": [MANIFEST, GRAPH],
}

_PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "RFC 9457, with a stable `code` and the `param` to change.",
    "properties": {
        **dict.fromkeys(("type", "title", "detail", "instance", "code"), _STRING),
        "request_id": _STRING,
        "status": {"type": "integer"},
        "param": {"type": ["string", "null"]},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"loc": {"type": "array"}, "msg": _STRING, "type": _STRING},
            },
        },
    },
    "required": ["type", "title", "status", "detail", "instance", "code", "param", "request_id"],
}


def document_of(app: FastAPI) -> dict[str, Any]:
    document: dict[str, Any] = get_openapi(
        title=app.title,
        version=app.version,
        description="Every path also works under `/v1`.",
        routes=app.routes,
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)  # FastAPI's own form of a 422, which is never sent
    schemas.update(_body_schemas(), Problem=_PROBLEM, InferenceError=INFERENCE_ERROR)
    document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    for path, model in _BODIES.items():
        body = _body({"$ref": _REF + model.__name__}, required=path not in _OPTIONAL)
        method = "put" if path in _PUT else "post"
        document["paths"][path][method]["requestBody"] = body
    revision = _body({"$ref": _REF + Revision.__name__})
    document["paths"]["/jobs/{job_id}"]["patch"]["requestBody"] = revision
    document["paths"]["/jobs/{job_id}/clone"]["post"]["requestBody"] = _body(_OVERRIDES)
    for path, schema in ((imports.PATH, _FILES), (policy_import.PATH, _POLICY_FILES)):
        files = {"required": True, "content": {MULTIPART: {"schema": schema}}}
        document["paths"][path]["post"]["requestBody"] = files
    tables = {media_type: {"schema": _STRING} for media_type in FORMATS}
    table = {"required": True, "content": tables}
    document["paths"][datasets.PATH]["post"]["requestBody"] = table
    document["paths"] |= {PATH: {"post": act_operation()}, **infer_operations()}
    for path, operations in document["paths"].items():
        for operation in operations.values():
            _add_security_and_problems(path, operation)
    return document


def _body_schemas() -> dict[str, Any]:
    models: dict[type[BaseModel], None] = dict.fromkeys([*_BODIES.values(), Revision])
    _, defined = models_json_schema(
        [(model, "validation") for model in models], ref_template=_REF + "{model}"
    )
    schemas: dict[str, Any] = defined["$defs"]
    return schemas


def _body(schema: dict[str, Any], *, required: bool = True) -> dict[str, Any]:
    return {"required": required, "content": {JSON: {"schema": schema}}}


def _add_security_and_problems(path: str, operation: dict[str, Any]) -> None:
    operation["responses"].pop("422", None)
    if is_inference(path):
        text, content = "What is wrong.", {JSON: {"schema": {"$ref": _REF + "InferenceError"}}}
    else:
        text = "A problem; `code` says which."
        content = {MEDIA_TYPE: {"schema": {"$ref": _REF + "Problem"}}}
    operation["responses"]["default"] = {"description": text, "content": content}
    operation["security"] = [] if is_open(path) else [{"key": []}]
