"""`mrq env`: for those who bring environments of their own."""

import json
import sys
from typing import Annotated, Any

import typer

from cli.env_check import Checked, check
from cli.env_entry import entry_of, require_describable
from store.errors import SetupError

env = typer.Typer(no_args_is_help=True, help="Environments of your own.")


@env.callback()
def _commands() -> None:
    """So that `check` keeps its name while it is the only one."""


@env.command("check")
def check_environment(
    entry_point: Annotated[str, typer.Argument(metavar="MODULE:ENV", help="Class or function.")],
    kwargs: Annotated[str, typer.Option(help="JSON that it is made with.")] = "{}",
    max_episode_steps: Annotated[int | None, typer.Option(min=1, max=1_000_000)] = None,
    steps: Annotated[int, typer.Option(min=1, max=1_000_000)] = 1_000,
    id: Annotated[
        str | None, typer.Option("--id", help="Print its entry of MRQ_ENVIRONMENTS_FILE.")
    ] = None,
) -> None:
    """Make it, step it, measure it. Exit code 1 if jobs could not train in it.

    Example: mrq env check my_envs:Crane --max-episode-steps 500 --id acme/Crane-v0
    """
    checked = Checked(
        entry_point=_named(entry_point), kwargs=_object(kwargs), max_episode_steps=max_episode_steps
    )
    if id is not None:
        require_describable(id, checked.kwargs)
    failed = False
    for finding in check(checked, steps):
        sys.stderr.write(f"{finding.kind:<5} {finding.text}\n")
        failed = failed or finding.kind == "FAIL"
    if failed:
        raise typer.Exit(1)
    if id is not None:
        sys.stdout.write(entry_of(checked, id))


def _named(entry_point: str) -> str:
    module, _, name = entry_point.partition(":")
    if not module or not name:
        raise SetupError(f"{entry_point!r} is not MODULE:ENV, such as my_envs:Crane")
    return entry_point


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise SetupError(f"--kwargs is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise SetupError(f"--kwargs is {text[:80]}; it must be an object")
    return value
