"""What a command measured: a JSON file for each run that is kept, and a page made of them."""

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
Say = Callable[[str], None]


def teller() -> Say:
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - began:7.1f} s  {text}", flush=True)

    return say


def keep(
    kind: str,
    head: str,
    run: Mapping[str, Any],
    facts: Mapping[str, object],
    findings: Sequence[str],
) -> Path:
    """`run`: its `name`, and where and when it was. The page has a section for each run kept."""
    RESULTS.mkdir(exist_ok=True)
    kept = {**run, "facts": facts, "findings": findings}
    name = re.sub("[^a-z0-9]+", "-", run["name"].lower())
    path = RESULTS / f"{kind}-{name}.json"
    path.write_text(json.dumps(kept, indent=1) + "\n")
    results = [json.loads(each.read_text()) for each in sorted(RESULTS.glob(f"{kind}-*.json"))]
    page = RESULTS.parent / f"{kind}.md"
    page.write_text("\n".join([head, *(line for each in results for line in section(each))]))
    return page


def section(result: Mapping[str, Any]) -> list[str]:
    return [
        f"## {result['name']}",
        "",
        f"{result['date']}, commit {result['commit']}. {result['machine']}; load at the end "
        f"{result['load'][0]}. {', '.join(result['versions'])}.",
        "",
        "| what | measured |",
        "|---|---|",
        *(f"| {what} | {measured} |" for what, measured in result["facts"].items()),
        f"| findings | {len(result['findings'])} |",
        "",
        *(f"- {finding}" for finding in result["findings"]),
    ]
