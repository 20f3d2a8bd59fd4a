"""Transitions out of a CSV, checked as a whole before anything is made of them."""

from __future__ import annotations

import hashlib
import io
import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import IO, Literal, TypeAlias

import numpy as np

from mrq_core.csv_table import (
    MAX_PROBLEMS,
    CsvTable,
    Limits,
    Problem,
    TableRefused,
    number_in,
    refused,
)
from mrq_core.logged.columns import (
    EPISODE,
    PROPENSITY,
    REWARD,
    TERMINATED,
    TRUNCATED,
    Columns,
    choose_columns,
)
from mrq_core.logged.log import Log

ActionKind: TypeAlias = Literal["discrete", "continuous"]
# The networks' numbers have 32 bits, and squares of them must fit.
LARGEST = 1e15
MOST_CHOICES = 256
FEWEST_TRANSITIONS = 50
_FLAGS = {"0": False, "1": True, "false": False, "true": True, "0.0": False, "1.0": True}


@dataclass
class _Rows:
    """Cells as numbers, row by row."""

    observations: array[float] = field(default_factory=lambda: array("d"))
    actions: array[float] = field(default_factory=lambda: array("d"))
    rewards: array[float] = field(default_factory=lambda: array("d"))
    propensities: array[float] = field(default_factory=lambda: array("d"))
    terminated: list[bool] = field(default_factory=list)
    is_final: list[bool] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)


class _Reader:
    def __init__(self, names: Sequence[str], columns: Columns) -> None:
        self.columns = columns
        self.at = {name: index for index, name in enumerate(names)}
        self.rows = _Rows()
        self.problems: list[Problem] = []
        self._seen: dict[str, int] = {}  # episodes, and the line that each one began in
        self._episode: str | None = None
        self._ended = ""  # how the episode under way has

    def take(self, line: int, cells: Sequence[str]) -> None:
        roles, rows = self.columns.roles, self.rows
        self._enter(line, cells[self.at[roles[EPISODE]]].strip())
        for name in self.columns.features:
            rows.observations.append(self._number(line, cells, name, needed=True))
        outcome = [*self.columns.actions, roles[REWARD]]
        is_final = all(not cells[self.at[name]].strip() for name in outcome)
        for name in self.columns.actions:
            rows.actions.append(self._number(line, cells, name, needed=not is_final))
        rows.rewards.append(self._number(line, cells, roles[REWARD], needed=not is_final))
        if PROPENSITY in roles:
            rows.propensities.append(self._propensity(line, cells, needed=not is_final))
        terminated = self._flag(line, cells, TERMINATED, needed=not is_final)
        truncated = self._flag(line, cells, TRUNCATED, needed=not is_final)
        self._require_order(line, is_final)
        self._ended = self._end(is_final, terminated, truncated)
        rows.terminated.append(terminated and not is_final)
        rows.is_final.append(is_final)

    def _enter(self, line: int, episode: str) -> None:
        if not episode:
            self._refuse(line, EPISODE, "is missing")
        if episode == self._episode:
            return
        if episode in self._seen:
            text = f"began in line {self._seen[episode]} and other rows came since"
            self._refuse(line, EPISODE, f"{episode[:40]!r} {text}: keep its rows together")
        self._seen.setdefault(episode, line)
        self._episode, self._ended = episode, ""
        self.rows.starts.append(len(self.rows.rewards))

    def _require_order(self, line: int, is_final: bool) -> None:
        first = self.rows.starts[-1] == len(self.rows.terminated)
        if is_final and first:
            self._refuse(line, EPISODE, "begins with a row without action and reward")
        elif self._ended == "final" or (self._ended and not is_final):
            what = "the row before is its last" if self._ended == "final" else f"it {self._ended}"
            self._refuse(line, EPISODE, f"goes on though {what}: begin another one")

    @staticmethod
    def _end(is_final: bool, terminated: bool, truncated: bool) -> str:
        if is_final:
            return "final"
        return "was terminated" if terminated else "was truncated" if truncated else ""

    def _number(self, line: int, cells: Sequence[str], name: str, *, needed: bool) -> float:
        cell = cells[self.at[name]]
        value = number_in(cell)
        if isinstance(value, str):
            self._refuse_cell(line, name, cell, value)
        elif math.isnan(value) and needed:
            self._refuse_cell(line, name, cell, "is missing: fill it, or remove the row")
        elif abs(value) > LARGEST:
            self._refuse_cell(line, name, cell, f"is beyond {LARGEST:g}")
        else:
            return value if needed else 0.0
        return 0.0

    def _propensity(self, line: int, cells: Sequence[str], *, needed: bool) -> float:
        name = self.columns.roles[PROPENSITY]
        value = self._number(line, cells, name, needed=needed)
        if needed and not 0 < value <= 1:
            self._refuse_cell(line, name, cells[self.at[name]], "must be above 0 and at most 1")
        return value if needed else math.nan

    def _flag(self, line: int, cells: Sequence[str], role: str, *, needed: bool) -> bool:
        if role not in self.columns.roles:
            return False
        name = self.columns.roles[role]
        cell = cells[self.at[name]].strip().lower()
        if cell in _FLAGS:
            return _FLAGS[cell]
        if cell or needed:
            self._refuse_cell(line, name, cell, "must be 0 or 1, or false or true")
        return False

    def _refuse(self, line: int, role: str, why: str) -> None:
        name = self.columns.roles[role]
        self.problems.append(Problem(text=f"Line {line}, {name} {why}.", line=line, column=name))

    def _refuse_cell(self, line: int, name: str, cell: str, why: str) -> None:
        shown = cell if len(cell) <= 40 else f"{cell[:39]}…"
        text = f"Line {line}, column {name}: {shown!r} {why}."
        self.problems.append(Problem(text=text, line=line, column=name))

    def log(self) -> Log:
        rows, count = self.rows, len(self.rows.rewards)
        log = Log(
            self.columns,
            np.array(rows.observations, np.float32).reshape(count, -1),
            np.array(rows.actions, np.float32).reshape(count, -1),
            np.array(rows.rewards, np.float32),
            np.array(rows.terminated, np.bool_),
            np.array(rows.is_final, np.bool_),
            np.array(rows.propensities, np.float64) if rows.propensities else None,
            np.array([*rows.starts, count], np.int64),
        )
        for each in (log.observations, log.actions, log.rewards, log.terminated, log.is_final):
            each.setflags(write=False)
        return log


def read_log(
    stream: IO[bytes],
    limits: Limits,
    mapped: Mapping[str, str] | None = None,
    dropped: Sequence[str] = (),
    actions: ActionKind | None = None,
) -> Log:
    """TableRefused with all that is wrong, up to a number of problems. `actions` None: discrete if
    there is one column of them with whole numbers from 0 to 255."""
    log = _read(stream, limits, mapped or {}, dropped)
    usable = sum(log.transitions(episode) for episode in range(log.episodes))
    if usable < FEWEST_TRANSITIONS:
        raise refused(
            f"The file has {usable} transitions with a known outcome; at least "
            f"{FEWEST_TRANSITIONS} are needed."
        )
    choices = _choices(log) if actions is None else 0
    if actions == "discrete" and not (choices := _choices(log)):
        name = log.columns.actions[0]
        raise refused(
            f"The actions in {', '.join(log.columns.actions)} are not discrete: one column of "
            f"whole numbers from 0 to {MOST_CHOICES - 1} is.",
            column=name,
        )
    low, high = log.bounds
    if (low == high).all():
        name = log.columns.actions[0]
        raise refused(f"Column {name} has one action alone: nothing was decided.", column=name)
    return replace(log, columns=replace(log.columns, choices=choices))


def _read(
    stream: IO[bytes], limits: Limits, mapped: Mapping[str, str], dropped: Sequence[str]
) -> Log:
    table = CsvTable(stream, limits)
    reader = _Reader(table.names, choose_columns(table.names, mapped, dropped))
    for line, cells in table.rows():
        reader.take(line, cells)
        if len(reader.problems) >= MAX_PROBLEMS:
            break
    if reader.problems:
        raise TableRefused(*reader.problems[:MAX_PROBLEMS])
    return reader.log()


def _choices(log: Log) -> int:
    taken = log.actions[~log.is_final]
    whole = taken.shape[1] == 1 and (taken == np.rint(taken)).all()
    if not whole or taken.min() < 0 or taken.max() >= MOST_CHOICES:
        return 0
    return int(taken.max()) + 1


def open_log(file: Path, sha256: str, columns: Columns) -> Log:
    """One that was checked when it came; ValueError if these are other bytes."""
    roles = tuple(sorted(columns.roles.items()))
    return _opened(file, sha256, roles, columns.features, columns.choices)


@lru_cache(maxsize=1)  # a run has two environments on it, and reads it itself
def _opened(
    file: Path,
    sha256: str,
    roles: tuple[tuple[str, str], ...],
    features: tuple[str, ...],
    choices: int,
) -> Log:
    found = hashlib.sha256(content := file.read_bytes()).hexdigest()
    if found != sha256:
        raise ValueError(f"the dataset's file has sha256 {found}, expected {sha256}")
    everything = Limits(rows=len(content), columns=len(content), cells=len(content))
    kept = (*dict(roles).values(), *features)
    names = CsvTable(io.BytesIO(content), everything).names
    dropped = [name for name in names if name not in kept]
    log = _read(io.BytesIO(content), everything, dict(roles), dropped)
    return replace(log, columns=replace(log.columns, choices=choices))
