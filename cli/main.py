"""The `mrq` command."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from cli import comparing
from cli.demo import play_demo
from cli.env import env
from cli.exporting import export_policy
from cli.folder import make_folder
from cli.importing import send_checkpoint
from cli.policy_importing import send_policy
from cli.up import up as run_service
from store.database import Database
from store.errors import SetupError
from store.garbage import (
    Garbage,
    damaged_checkpoints,
    damaged_datasets,
    find_garbage,
    remove_garbage,
)
from store.invariants import broken_invariants
from store.keys import login_link as make_link
from store.keys import read_api_key
from store.schema import migrate as migrate_database
from store.schema import require_current_schema
from store.settings import Settings

cli = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Train MR.Q agents as jobs and serve their actions over HTTP.",
)

cli.add_typer(env, name="env")
policy = typer.Typer(no_args_is_help=True, help="Trained policies.")
cli.add_typer(policy, name="policy")

DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="Database, checkpoints, logs. MRQ_DATA_DIR.")
]


@cli.command()
def up(
    data_dir: DataDir = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 picks a free one.")] = 8000,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Jobs trained at once.")] = 1,
    servers: Annotated[
        int, typer.Option(min=1, max=64, help="Processes that answer requests, on one port.")
    ] = 1,
) -> None:
    """Start everything here: broker, database, worker(s), server. Ctrl+C stops it.

    Example: mrq up --data-dir ~/mrq --port 8000
    """
    run_service(_settings(data_dir), host, port, workers, servers, _say)


@cli.command()
def migrate(data_dir: DataDir = None) -> None:
    """Bring the database to this release's schema. `mrq up` does it by itself."""
    settings = _settings(data_dir)
    make_folder(settings.data_dir)
    database = Database(settings.database_url)
    migrate_database(database)
    database.dispose()
    _say("the database has this release's schema")


@cli.command()
def doctor(
    data_dir: DataDir = None,
    files: Annotated[
        bool, typer.Option("--files", help="Read every checkpoint's files, too: it may take long.")
    ] = False,
) -> None:
    """Look for what must never be, and say what to do. Exit code 1 if there is something.

    Changes nothing, and may be run while the service runs.
    """
    settings = _settings(data_dir)
    with _database(settings) as database:
        findings = broken_invariants(database, settings)
        if files:
            findings += damaged_checkpoints(database, settings)
            findings += damaged_datasets(database, settings)
        garbage = find_garbage(database, settings)
    for each in findings:
        sys.stdout.write(f"{each.invariant} {each.job_id}: {each.text}. {each.advice}\n")
    if garbage:
        _say(f"{_in_words(garbage)}; `mrq gc` removes it")
    _say(f"{len(findings)} findings" if findings else "all invariants hold")
    if findings:
        raise typer.Exit(1)


@cli.command()
def gc(
    data_dir: DataDir = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say it, remove nothing.")] = False,
) -> None:
    """Remove checkpoint folders that no row names and nobody can still be writing."""
    settings = _settings(data_dir)
    with _database(settings) as database:
        garbage = find_garbage(database, settings)
    for each in garbage:
        sys.stdout.write(f"{each.folder} {each.size_bytes}\n")
    if not dry_run:
        remove_garbage(settings, garbage)
    _say(f"{_in_words(garbage)}{', nothing was removed' if dry_run else ''}")


def _in_words(garbage: Sequence[Garbage]) -> str:
    size = sum(each.size_bytes for each in garbage)
    return f"{len(garbage)} folders without a row, {size:,} bytes"


@contextmanager
def _database(settings: Settings) -> Iterator[Database]:
    database = Database(settings.database_url)
    require_current_schema(database)
    try:
        yield database
    finally:
        database.dispose()


@cli.command("login-link")
def login_link(
    url: Annotated[str, typer.Option(help="Where the service answers.")] = "http://127.0.0.1:8000",
    data_dir: DataDir = None,
) -> None:
    """Print a link that logs a browser in, good for 15 minutes."""
    sys.stdout.write(make_link(url, read_api_key(_settings(data_dir))) + "\n")


@cli.command("import")
def import_checkpoint(
    folder: Annotated[Path, typer.Argument(help="With a training checkpoint's files.")],
    spec: Annotated[Path, typer.Option("--spec", help="JSON file with their job's spec.")],
    url: Annotated[str, typer.Option(help="Where the service answers.")] = "http://127.0.0.1:8000",
    data_dir: DataDir = None,
) -> None:
    """Send a checkpoint to a service, as a job that has ended. Prints the job's id.

    All files of the checkpoint, or state.json and agent.safetensors alone for its weights.

    Example: mrq import ./checkpoint --spec spec.json
    """
    job = send_checkpoint(url, read_api_key(_settings(data_dir)), folder, spec)
    sys.stdout.write(f"{job['id']}\n")
    _say(f"imported {job['name']} at step {job['progress']['step']}: {url}{job['links']['page']}")


@policy.command("export")
def export(
    reference: Annotated[
        str, typer.Argument(help="pol_..., a name (its newest), name:3 or name@alias.")
    ],
    folder: Annotated[Path, typer.Argument(help="A new one, or an empty one.")],
    url: Annotated[str, typer.Option(help="Where the service answers.")] = "http://127.0.0.1:8000",
    data_dir: DataDir = None,
) -> None:
    """Write a policy into a folder to pass on: its graph, how to use it, and a model card.

    Example: mrq policy export pendulum-v1-mrq ./pendulum
    """
    exported = export_policy(url, read_api_key(_settings(data_dir)), reference, folder)
    _say(f"{exported['name']}:{exported['version']} is in {folder}")


@policy.command("import")
def import_policy(
    folder: Annotated[Path, typer.Argument(help="As `mrq policy export` writes it.")],
    name: Annotated[
        str | None, typer.Option(help="Else that of its card, if the service has none of it.")
    ] = None,
    url: Annotated[str, typer.Option(help="Where the service answers.")] = "http://127.0.0.1:8000",
    data_dir: DataDir = None,
) -> None:
    """Send a policy to a service, as the next version of its name. Prints id and NAME:VERSION.

    If the newest version is this very policy, it is that one. Without --name, a name that the
    service has policies of already is refused.

    Example: mrq policy import ./pendulum --name pendulum-v1-mrq
    """
    imported = send_policy(url, read_api_key(_settings(data_dir)), folder, name)
    reference = f"{imported['name']}:{imported['version']}"
    sys.stdout.write(f"{imported['id']} {reference}\n")
    _say(f"{url} serves it as {reference}")


@cli.command()
def compare(
    ids: Annotated[list[str], typer.Argument(help="Jobs or groups; the first is the baseline.")],
    target: Annotated[float | None, typer.Option(help="How soon was this return reached?")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="All that the server says.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="The curves, for a spreadsheet.")] = False,
    url: Annotated[str, typer.Option(help="Where the service answers.")] = "http://127.0.0.1:8000",
    data_dir: DataDir = None,
) -> None:
    """Compare how jobs or groups have learned: IQM, steps to a return, probability to be better.

    Example: mrq compare grp_1 grp_2 --target -200
    """
    found = comparing.ask(url, read_api_key(_settings(data_dir)), ids, target)
    lines = comparing.curves(found) if as_csv else comparing.table(found)
    sys.stdout.write(comparing.as_json(found) + "\n" if as_json else "\n".join(lines) + "\n")


@cli.command()
def demo() -> None:
    """Train a Pendulum agent through the HTTP API, let it act, and leave nothing behind."""
    raise typer.Exit(play_demo())


def _settings(data_dir: Path | None) -> Settings:
    try:
        return Settings() if data_dir is None else Settings(data_dir=data_dir)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise SetupError(f"setting {where}: {first['msg']}".replace("setting : ", "")) from None


def _say(line: str) -> None:
    """Messages go to standard error; standard output is for data."""
    sys.stderr.write(f"mrq: {line}\n")
    sys.stderr.flush()


def main() -> None:
    try:
        cli()
    except SetupError as error:
        _say(error.message)
        sys.exit(1)


if __name__ == "__main__":
    main()
