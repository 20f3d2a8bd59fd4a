"""`python -m benchmarks.serving`: one run in which all take turns, and a table of ratios.

Each turn is a second or so of load from one client (`load.c`). What is compared are medians of
ratios to the floor's turn of the same round, so that a busy machine slows both. The policy has the
paper's size: 17 observations, 512 wide, 6 actions. Other servers: see `make peers`.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.act import in_another_process, prepare
from benchmarks.provenance import commit
from benchmarks.serving.contenders import Contender, floor, ours, peers, running, usual
from benchmarks.serving.generator import Generator
from benchmarks.serving.table import CONNECTIONS, Run, Turn, render

BATCH_CONNECTIONS = (1, 4)
BATCH_ROWS = 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--peers", type=Path, default=Path("build/peers"))
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("RESULTS.md"))
    options = parser.parse_args()
    with TemporaryDirectory() as name:
        scratch = Path(name)
        model = _prepare(scratch)
        contenders = [floor(), *ours(scratch), usual(), *peers(options.peers, model, scratch)]
        generator = Generator(scratch)
        before = os.getloadavg()[0]
        with running(contenders, scratch) as ports:
            run = Run(commit(), datetime.now(UTC), before)
            for number in range(options.rounds + 1):
                turns = list(_round(generator, contenders, ports, model, options.seconds))
                if number:  # the first one warms up
                    run.rounds.append(turns)
                    print(f"round {number}: load {os.getloadavg()[0]:.1f}", file=sys.stderr)
        run.load_after = os.getloadavg()[0]
    text = render(run, options.seconds)
    options.out.write_text(text)
    print(text)


def _prepare(folder: Path) -> Path:
    in_another_process(prepare, str(folder))
    return _model(folder)


def _model(folder: Path) -> Path:
    from store.database import Database
    from store.policies import find_policy, load_servable
    from store.settings import Settings

    database = Database(Settings(data_dir=folder).database_url)
    with database.read() as session:
        servable = load_servable(session, find_policy(session, "bench"))
    database.dispose()
    file = folder / "model.onnx"
    file.write_bytes(servable.onnx)
    return file


def _round(
    generator: Generator,
    contenders: list[Contender],
    ports: dict[str, int],
    model: Path,
    seconds: float,
) -> Iterator[Turn]:
    for connections in CONNECTIONS:
        for each in contenders:
            load = generator.run(ports[each.name], each.request, connections, seconds)
            yield Turn(each.name, connections, load.rate, load.p50_us, load.p99_us)
    yield Turn("bare", 1, _bare(model, 1, seconds))
    yield Turn("bare", BATCH_ROWS, _bare(model, BATCH_ROWS, seconds))
    for connections in BATCH_CONNECTIONS:
        for each in contenders:
            if each.batch is not None:
                load = generator.run(ports[each.name], each.batch, connections, seconds)
                rate = load.rate * each.batch.rows
                yield Turn("batch", connections, rate, load.p50_us, load.p99_us)


def _bare(model: Path, rows: int, seconds: float) -> float:
    command = [sys.executable, "-m", "benchmarks.serving.bare", str(model), str(rows), str(seconds)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return float(done.stdout)


if __name__ == "__main__":
    main()
