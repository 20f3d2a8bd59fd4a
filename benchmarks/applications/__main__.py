"""`make applications`: one short real job for every application, through the whole service.

Exit code 0 only if every row went all the way. An environment whose package is missing is an error
before any row, with the command that installs it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.applications.rows import APPLICATIONS, Row, row_of
from benchmarks.applications.running import Done, missing_extras, run_row
from benchmarks.applications.table import page, verdict
from benchmarks.applications.table import row_of as line_of
from cli.embedded import RunningService, embedded_service
from store.catalogue import CATALOGUE

TABLE = Path(__file__).with_name("table.md")


def run_rows(service: RunningService, rows: Sequence[Row]) -> list[Done] | None:
    """None if something is not installed: then nothing was run."""
    with service.client() as client:
        missing = missing_extras(client, rows)
        for environment_id, command in missing.items():
            print(f"{environment_id} is not installed: {command}", file=sys.stderr)
        if missing:
            return None
        done = []
        for row in rows:
            done.append(run_row(client, row))
            print(line_of(done[-1]), flush=True)
    print(verdict(done))
    return done


def exit_code(done: Sequence[Done] | None) -> int:
    return 0 if done and all(each.ok for each in done) else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "environments", nargs="*", metavar="ID", help="these alone, and no table is written"
    )
    parser.add_argument(
        "--all", action="store_true", help="every environment of the catalogue; writes no table"
    )
    parser.add_argument("--into", type=Path, default=TABLE, help="where the table is written")
    options = parser.parse_args()
    for unknown in [each for each in options.environments if each not in CATALOGUE]:
        parser.error(f"{unknown!r} is not in GET /environments")
    chosen = options.environments or (list(CATALOGUE) if options.all else APPLICATIONS)
    with (
        tempfile.TemporaryDirectory(prefix="mrq-applications-") as folder,
        embedded_service(Path(folder)) as service,
    ):
        done = run_rows(service, [row_of(CATALOGUE[each]) for each in chosen])
    if done is not None and chosen is APPLICATIONS:
        options.into.write_text(page(done))
    return exit_code(done)


if __name__ == "__main__":
    sys.exit(main())
