"""The files that a deployment is made of, and the documents, as these tests read them."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def text(name: str) -> str:
    return (ROOT / name).read_text()


@cache
def compose(name: str = "compose.yaml") -> dict[str, Any]:
    """Aliases and merges resolved, variables as they are written."""
    loaded: dict[str, Any] = yaml.safe_load(text(name))
    return loaded


def pages() -> list[Path]:
    return sorted([*DOCS.rglob("*.md"), ROOT / "README.md", ROOT / "CHANGELOG.md"])


def rows(page: str, heading: str = "") -> list[list[str]]:
    """Cells of the tables of a page, or of the part below one heading; header rows too."""
    part = text(page)
    if heading:
        part = part.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in part.splitlines() if line.startswith("|") and "|---" not in line]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def names_in(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def first_names(table: list[list[str]]) -> list[str]:
    """What stands in backquotes in the first column."""
    return [name for row in table for name in names_in(row[0])]
