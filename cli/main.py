"""The `mrq` command."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from cli.demo import play_demo
from cli.folder import make_folder
from cli.up import up as run_service
from store.database import Database
from store.errors import SetupError
from store.keys import login_link as make_link
from store.keys import read_api_key
from store.schema import migrate as migrate_database
from store.settings import Settings

cli = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Train MR.Q agents as jobs and serve their actions over HTTP.",
)

DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="Database, checkpoints, logs. MRQ_DATA_DIR.")
]


@cli.command()
def up(
    data_dir: DataDir = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 picks a free one.")] = 8000,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Jobs trained at once.")] = 1,
) -> None:
    """Start everything here: broker, database, worker(s), server. Ctrl+C stops it.

    Example: mrq up --data-dir ~/mrq --port 8000
    """
    run_service(_settings(data_dir), host, port, workers, _say)


@cli.command()
def migrate(data_dir: DataDir = None) -> None:
    """Bring the database to this release's schema. `mrq up` does it by itself."""
    settings = _settings(data_dir)
    make_folder(settings.data_dir)
    database = Database(settings.database_url)
    migrate_database(database)
    database.dispose()
    _say("the database has this release's schema")


@cli.command("login-link")
def login_link(
    url: Annotated[str, typer.Option(help="Where the service answers.")] = "http://127.0.0.1:8000",
    data_dir: DataDir = None,
) -> None:
    """Print a link that logs a browser in, good for 15 minutes."""
    sys.stdout.write(make_link(url, read_api_key(_settings(data_dir))) + "\n")


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
