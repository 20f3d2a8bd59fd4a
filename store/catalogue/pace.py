"""How many steps an environment takes, measured by `python -m benchmarks.pace`."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("pace.json")


@cache
def steps_per_second() -> Mapping[str, float]:
    """By id: the environment's own steps, of random legal actions and with resets, in a second of
    one processor core. The file says on which machine."""
    measured: dict[str, float] = json.loads(FILE.read_text())["steps_per_second"]
    return measured
