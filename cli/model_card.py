"""The card of a policy: Markdown for people, under a head of YAML that model hubs read."""

import json
from collections.abc import Mapping
from typing import Any

# What `mrq policy import` reads of a card.
OURS = "mrq"
_TASK = "reinforcement-learning"
_TEXT = """
# {name}

A policy for `{environment}`, trained by `{algorithm}` for {step} steps; version {version} of its
name.

| | |
|---|---|
| mean return | {result} |
| observation | {send} |
| action | `{action}` |
| environment's arguments | `{kwargs}` |
| sha256 of `policy.onnx` | `{sha256}` |
| weights | `{weights}` |

`policy.onnx` maps `observation`, float32 of shape (batch, {inputs}), to `policy`, (batch,
{outputs}). `policy.json` says how an observation becomes these numbers and the output an action,
and has golden pairs: observations of real episodes with the actions that training computed for
them. Whoever acts with this policy should check them first. Acting takes an ONNX runtime; no file
has code in it. `mrq policy import` takes the folder into a service.
"""


def model_card(policy: Mapping[str, Any], manifest: Mapping[str, Any]) -> str:
    """`policy` as the server answers it, `manifest` of its `policy.json`."""
    result = _result(policy["evaluation"])
    text = _TEXT.format(
        name=policy["name"],
        version=policy["version"],
        environment=policy["environment_id"],
        algorithm=manifest.get("algorithm", "mrq"),
        step=policy["step"],
        result=_in_words(policy["evaluation"], result),
        send=policy["send"].replace("|", "\\|"),
        action=json.dumps(policy["action_space"]),
        kwargs=json.dumps(manifest["environment_kwargs"]),
        sha256=policy["sha256"],
        weights=manifest.get("weights_sha256", "unknown"),
        inputs=manifest["observation_dim"],
        outputs=manifest["action_dim"],
    )
    return "".join([*_head(policy, manifest, result), text])


def read_card(card: str) -> dict[str, Any]:
    """`name` of the policy and `sha256` of its graph, as far as this is a card that says so."""
    _, _, rest = card.partition("---\n")
    for line in rest.partition("\n---\n")[0].splitlines():
        key, _, value = line.partition(": ")
        if key == OURS:
            try:
                told = json.loads(value)
            except ValueError:
                return {}
            return told if isinstance(told, dict) else {}
    return {}


def _head(policy: Mapping[str, Any], manifest: Mapping[str, Any], result: str | None) -> list[str]:
    """JSON after each key, which YAML contains: texts need no escaping of their own."""
    environment = policy["environment_id"]
    tags = [_TASK, "onnx", manifest.get("algorithm", "mrq"), environment]
    ours = {"name": policy["name"], "sha256": policy["sha256"]}
    fields: dict[str, Any] = {
        "library_name": "onnx",
        "pipeline_tag": _TASK,
        "tags": tags,
        OURS: ours,
    }
    if result is not None:
        judged = {
            "task": {"type": _TASK, "name": _TASK},
            "dataset": {"type": environment, "name": environment},
            "metrics": [{"type": "mean_reward", "name": "mean_reward", "value": result}],
        }
        fields["model-index"] = [{"name": policy["name"], "results": [judged]}]
    lines = [f"{key}: {json.dumps(value)}\n" for key, value in fields.items()]
    return ["---\n", *lines, "---\n"]


def _result(evaluation: Mapping[str, Any] | None) -> str | None:
    """None for what was never evaluated, or only estimated from a log: that is no return."""
    if evaluation is None or evaluation["estimate"] is not None:
        return None
    mean, spread = evaluation["return_mean"], evaluation["return_std"]
    numbers = f"{mean:.2f}" if isinstance(mean, float) else str(mean)
    return f"{numbers} +/- {spread:.2f}" if isinstance(spread, float) else numbers


def _in_words(evaluation: Mapping[str, Any] | None, result: str | None) -> str:
    if evaluation is None:
        return "not evaluated"
    if result is None:
        return f"estimated from a log of {evaluation['episodes']} episodes, never seen to act"
    return f"{result}, over {evaluation['episodes']} episodes, {evaluation['action_mode']}"
