"""What `mrq env check` prints for a file that MRQ_ENVIRONMENTS_FILE names."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from cli.env_check import Checked
from mrq_core.environments import DEFAULT_MAX_EPISODE_STEPS, Environment
from store.catalogue.own import Id, KwargName, read_text
from store.errors import SetupError


def require_describable(id: str, kwargs: Mapping[str, Any]) -> None:
    """SetupError for what no entry can say, before anything long has begun."""
    _require("--id", Id, id, "; allowed: NAMESPACE/NAME-vNUMBER, such as acme/Crane-v0")
    for name, value in kwargs.items():
        _require("--kwargs", KwargName, name)
        if not isinstance(value, bool | int | float):
            raise SetupError(
                f"--kwargs {name}={json.dumps(value)[:80]}: an entry has numbers, true and false; "
                "name a function in its place that makes the environment with the rest"
            )


def _require(option: str, kind: Any, value: str, allowed: str = "") -> None:
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]["msg"]
        raise SetupError(f"{option} {value[:160]!r}: {first}{allowed}") from None


def entry_of(checked: Checked, id: str) -> str:
    """TOML that the service reads; SetupError if it would not."""
    try:
        environment = checked.make()
        text = "\n".join(_lines(checked, environment, id)) + "\n"
        environment.close()
    except Exception as error:  # the environment's code may raise anything
        raise SetupError(f"no entry of {id}: {type(error).__name__}: {error}") from error
    try:
        read_text(text, is_toml=True)
    except ValueError as error:
        raise SetupError(f"no entry of {id}: {error}") from None
    return text


def _lines(checked: Checked, environment: Environment, id: str) -> Iterator[str]:
    form = environment.form
    yield f'["{id}"]'
    yield f"entry = {json.dumps(checked.entry_point)}"
    yield f'observation = {{kind = "{form.kind}", shape = {list(form.frame_shape)}}}'
    yield f"action = {{{_action(environment)}}}"
    yield f"masked = {json.dumps(environment.masked)}"
    yield f"max_episode_steps = {checked.max_episode_steps or DEFAULT_MAX_EPISODE_STEPS}"
    for name, value in checked.kwargs.items():
        yield ""
        yield f'["{id}".kwargs.{name}]'
        yield from _kwarg(value)


def _action(environment: Environment) -> str:
    codec, kind = environment.codec, environment.action_space.to_json()["type"]
    if not codec.components:
        return f'kind = "continuous", size = {codec.action_dim}'
    # A box of booleans is as many switches.
    kind = "multi_binary" if kind == "box" else kind
    return f'kind = "{kind}", components = {list(codec.components)}'


def _kwarg(value: bool | int | float) -> Iterator[str]:
    """As it was checked: another value would be another environment, until the operator widens the
    bounds of a number."""
    kinds = {bool: "boolean", int: "integer", float: "number"}
    yield f'type = "{kinds[type(value)]}"'
    names = ["default"] if isinstance(value, bool) else ["default", "minimum", "maximum"]
    for name in names:
        yield f"{name} = {json.dumps(value)}"
