"""`python -m benchmarks.pace`: how fast the catalogue's environments step.

Each is made as training makes it and takes random legal actions, resets included, for about a
second of processor time after the first episode's start; processor time, so that what else the
machine does matters less. Writes store/catalogue/pace.json, which `GET /environments` shows. One
process for each environment, for some change the process they run in.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.provenance import commit, machine, versions
from mrq_core.environments import Environment
from store.catalogue import CATALOGUE, EnvironmentEntry
from store.catalogue.pace import FILE

SECONDS = 1.0
MOST_STEPS = 50_000


def pace(entry: EnvironmentEntry, seconds: float) -> float:
    """Steps in a second of processor time."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what environments' own imports deprecate
        environment = Environment(
            entry.gymnasium_id,
            {},
            entry.max_episode_steps,
            limit_terminates=entry.limit_terminates,
        )
        chance = np.random.default_rng(0)
        seen: Any = environment.reset(0, 0)
        begun, steps, episode = time.process_time(), 0, 0
        while (taken := time.process_time() - begun) < seconds and steps < MOST_STEPS:
            action = environment.executable(environment.codec.uniform(chance, seen.mask))
            seen = environment.step(action, steps)
            steps += 1
            if seen.terminated or seen.truncated:
                episode += 1
                seen = environment.reset(episode, steps)
        environment.close()
    return steps / taken


def two_digits(value: float) -> float:
    """What such a measurement is good for."""
    return float(f"{value:.2g}")


def measured(id: str, seconds: float) -> float:
    command = [sys.executable, "-m", "benchmarks.pace", "--only", id, "--seconds", str(seconds)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(run.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=CATALOGUE, metavar="ID", help="print it, write nothing")
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--into", type=Path, default=FILE)
    options = parser.parse_args()
    if options.only is not None:
        print(pace(CATALOGUE[options.only], options.seconds))
        return
    figures = {}
    for id, entry in CATALOGUE.items():
        if entry.dataset_role != "transitions":  # a log cannot be acted in
            figures[id] = two_digits(measured(id, options.seconds))
            print(f"{id}: {figures[id]:,g}", flush=True)
    told = {"commit": commit(), "machine": machine(), "versions": versions()}
    options.into.write_text(json.dumps({**told, "steps_per_second": figures}, indent=1) + "\n")


if __name__ == "__main__":
    main()
