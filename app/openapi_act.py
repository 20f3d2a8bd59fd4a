"""The act route for the OpenAPI document, by hand: FastAPI never sees it."""

from typing import Any

from app.serving.arrays import DTYPES, OPTION_HEADERS
from app.serving.requests import MAX_DEADLINE_MS, MAX_EPISODE, MAX_SEED, MODES, RETURNS

_JSON, _RAW, _NPY = "application/json", "application/octet-stream", "application/x-npy"
_STRING = {"type": "string"}
_BINARY = {"type": "string", "format": "binary"}
_MASK = {
    "type": "array",
    "minItems": 1,
    "items": {"anyOf": [{"type": "integer", "minimum": 0, "maximum": 1}, {"type": "boolean"}]},
}
_ACT_REQUEST: dict[str, Any] = {
    "type": "object",
    "description": "Exactly one of `observation` and `observations`.",
    "additionalProperties": False,
    "properties": {
        "observation": {
            "description": (
                "One observation, in the policy's `observation_space`; its `send` says it in words."
            )
        },
        "observations": {"type": "array", "minItems": 1, "items": {}},
        "mode": {"enum": list(MODES), "default": MODES[0]},
        "deadline_ms": {
            "type": ["number", "null"],
            "exclusiveMinimum": 0,
            "maximum": MAX_DEADLINE_MS,
            "description": "Rather a 504 than an action later than this after the request came.",
        },
        "return": {
            "type": ["array", "null"],
            "items": {"enum": list(RETURNS)},
            "description": (
                "What the answer is to say more: the action's probability, or the noise of a "
                "continuous one; its value, and the reward and the end of the episode that the "
                "learnt model predicts; the state's embedding. JSON answers only."
            ),
        },
        "seed": {"type": ["integer", "null"], "minimum": 0, "maximum": MAX_SEED},
        "log": {
            "type": "boolean",
            "default": False,
            "description": "Write the action down, for `POST /policies/{reference}/feedback`.",
        },
        "episode": {
            "type": ["string", "null"],
            "minLength": 1,
            "maxLength": MAX_EPISODE,
            "description": "Of logged actions that follow one another; `t` is its place there.",
        },
        "t": {
            "type": ["integer", "null"],
            "minimum": 0,
            "maximum": MAX_SEED,
            "description": "Of a session: one more than in its last step.",
        },
        "session_id": {
            "type": ["string", "null"],
            "description": "`observation` is one frame then, and the server has those before it.",
        },
        "reset": {
            "type": ["boolean", "null"],
            "description": "Of a session: an episode begins with this frame, and `t` is 0.",
        },
        "state": {
            "type": ["string", "null"],
            "description": (
                "Instead of a session: null at the start of an episode, then what the last answer "
                "gave. `observation` is one frame."
            ),
        },
        "action_mask": {
            "description": (
                "Discrete actions only: 1 for each choice that is allowed, the choices of all "
                "components one after the other. With `observations`: one for all, or one each."
            ),
            "anyOf": [_MASK, {"type": "array", "minItems": 1, "items": _MASK}, {"type": "null"}],
        },
    },
    "oneOf": [{"required": ["observation"]}, {"required": ["observations"]}],
}
_ACT_ANSWER: dict[str, Any] = {
    "type": "object",
    "properties": {
        "action": {"description": "For `observation`: in the environment's units."},
        "actions": {"type": "array", "items": {}, "description": "For `observations`."},
        "probability": {
            "description": "That `sample` takes this action; null of a continuous one.",
        },
        "noise": {
            "description": (
                "Drawn for a continuous action of `sample`, in [-1, 1] units, before it is cut off."
            ),
        },
        "q": {
            "type": "object",
            "description": (
                "Values of the action in units of return: of both heads, and the lesser; of a "
                "discrete policy `per_action` the lesser for each choice."
            ),
        },
        "reward": {"description": "Predicted for the action, in the environment's units."},
        "termination": {"description": "How likely the action ends the episode, 0 to 1."},
        "latent": {"type": "array", "description": "The state's embedding zs."},
        "warnings": {
            "type": "array",
            "items": _STRING,
            "description": (
                "There only where an observation lies outside of what the policy saw in training."
            ),
        },
        "action_id": {"type": "string", "description": "Of a logged action, for its feedback."},
        "action_ids": {"type": "array", "items": _STRING, "description": "With `observations`."},
        "session_id": {"type": "string", "description": "As in the request."},
        "t": {"type": "integer", "description": "With `session_id`."},
        "state": {"type": "string", "description": "With `state`: for the next request."},
        **dict.fromkeys(("policy_id", "name", "checkpoint_id", "mode", "request_id"), _STRING),
        "version": {"type": "integer"},
        "timing": {
            "type": "object",
            "properties": {
                name: {"type": "integer"}
                for name in ("queue_us", "compute_us", "batch_size", "total_us")
            },
        },
    },
    "required": ["policy_id", "name", "version", "checkpoint_id", "mode", "request_id", "timing"],
}
_HEADERS: dict[str, str] = {
    "X-Shape": "Of a raw body: the array's sizes with commas, such as `17` or `64,17`.",
    "X-Dtype": f"Of a raw body, little-endian; `float32` if left out. One of {', '.join(DTYPES)}.",
    **dict.fromkeys(
        OPTION_HEADERS,
        "Of a raw or npy body: the field of that name, as JSON; mode and session bare.",
    ),
}
_ANSWER_HEADERS: dict[str, str] = {
    "X-Policy-Id": "Of a raw or npy answer.",
    "X-Policy-Version": "The version that acted.",
    "X-Shape": "Of a raw answer.",
    "X-Dtype": "Of a raw answer.",
    "X-Warnings": "Of a raw or npy answer: how many observations are unlike those of the training.",
    "Server-Timing": "Milliseconds in the queue, in the forward pass and in all.",
}


def act_operation() -> dict[str, Any]:
    return {
        "tags": ["policies"],
        "summary": "Act",
        "description": (
            "The action of a policy for one observation, or for a batch of them. The answer has "
            "the form of the request, or the one that `Accept` names."
        ),
        "operationId": "act",
        "parameters": [
            {
                "name": "reference",
                "in": "path",
                "required": True,
                "description": (
                    "`pol_...`, `name` (its newest version, or what its traffic says), `name:3` or "
                    "`name@alias`."
                ),
                "schema": _STRING,
            },
            *(
                {"name": name, "in": "header", "description": text, "schema": _STRING}
                for name, text in _HEADERS.items()
            ),
        ],
        "requestBody": {"required": True, "content": _content(_ACT_REQUEST)},
        "responses": {
            "200": {
                "description": "The action.",
                "headers": {
                    name: {"description": text, "schema": _STRING}
                    for name, text in _ANSWER_HEADERS.items()
                },
                "content": _content(_ACT_ANSWER),
            }
        },
    }


def _content(schema: dict[str, Any]) -> dict[str, Any]:
    """An array is an observation or a batch of them, and so is the answer's."""
    return {_JSON: {"schema": schema}, _RAW: {"schema": _BINARY}, _NPY: {"schema": _BINARY}}
