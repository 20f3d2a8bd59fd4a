"""Seams around the product where the n-th write of a process fails, is cut off, or is late.

A point is a write, fsync, rename, link, removal, SQL write, commit or publish. They are counted in
the main thread of a process that called `install`; the product knows nothing of it.
"""

import errno
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from kombu.messaging import Producer
from sqlalchemy import Engine, event
from sqlalchemy.engine.default import DefaultDialect

PRODUCT = ("store.", "worker.", "mrq_core.")
# A trainer that is drained, and the one that goes on from its checkpoint to the end.
ROLES = ("service", "trainer", "second trainer")
FIRED = "fired"
WRITES = ("INSERT", "UPDATE", "DELETE")


class Kind(StrEnum):
    ERROR = "error"  # as the driver or the kernel reports one: OperationalError, EIO
    FULL = "full"  # ENOSPC
    KILL = "kill"
    DELAY = "delay"


@dataclass(frozen=True)
class Fault:
    """At the `number`-th point, or at the first one whose label ends with `label`. Once."""

    role: str  # of the process: one of ROLES
    kind: Kind
    number: int = 0
    label: str = ""
    seconds: float = 0.0  # of a delay


class Points:
    """Those of one process; what has fired is written down, so that it fires once in all."""

    def __init__(self, fault: Fault | None, folder: Path) -> None:
        self.fault = fault
        self._fired = folder / FIRED
        self.become("service")

    def become(self, role: str) -> None:
        """After a fork. An attempt's second trainer counts anew, and finds that it has fired."""
        self._role, self._count = role, 0

    def pass_one(self, what: str, error: Callable[[], Exception]) -> None:
        fault, where = self.fault, _where()
        in_main = threading.current_thread() is threading.main_thread()
        if fault is None or fault.role != self._role or not where or not in_main:
            return
        self._count += 1
        label = f"{where} {what}"
        here = label.endswith(fault.label) if fault.label else self._count == fault.number
        if not here or self._fired.exists():
            return
        descriptor = os.open(self._fired, os.O_CREAT | os.O_WRONLY)
        os.write(descriptor, label.encode())
        os.close(descriptor)
        match fault.kind:
            case Kind.KILL:
                os.kill(os.getpid(), signal.SIGKILL)
            case Kind.DELAY:
                time.sleep(fault.seconds)
            case Kind.ERROR | Kind.FULL:
                raise error()


def _where() -> str:
    """The product's function that does it: the outermost of the store, or else the innermost."""
    frame: FrameType | None = sys._getframe(2)
    found = ""
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        if name.startswith("store.") or (not found and name.startswith(PRODUCT)):
            found = f"{name}.{frame.f_code.co_name}"
        frame = frame.f_back
    return found


def install(fault: Fault | None, folder: Path) -> Points:
    """In a process that ends with this: nothing is put back."""
    points = Points(fault, folder)
    kind = None if fault is None else fault.kind

    def file_error() -> OSError:
        number = errno.ENOSPC if kind is Kind.FULL else errno.EIO
        return OSError(number, os.strerror(number))

    for name in ("fsync", "rename", "link", "mkdir", "unlink", "rmdir"):
        _before(os, name, partial(points.pass_one, name, file_error))
    _before(Producer, "publish", lambda: points.pass_one("publish", ConnectionResetError))
    _after(Producer, "publish", lambda: points.pass_one("published", ConnectionResetError))
    _after(os, "rename", lambda: points.pass_one("renamed", file_error))
    _files_that_fail(points, file_error)
    if kind is not Kind.FULL:
        _database_that_fails(points)
    return points


def _before(owner: Any, name: str, point: Callable[[], None]) -> None:
    real = getattr(owner, name)

    def wrapped(*arguments: Any, **options: Any) -> Any:
        point()
        return real(*arguments, **options)

    setattr(owner, name, wrapped)


def _after(owner: Any, name: str, point: Callable[[], None]) -> None:
    real = getattr(owner, name)

    def wrapped(*arguments: Any, **options: Any) -> Any:
        result = real(*arguments, **options)
        point()
        return result

    setattr(owner, name, wrapped)


def _files_that_fail(points: Points, error: Callable[[], OSError]) -> None:
    """Half of what is written gets there."""
    real = Path.open

    def opened(path: Path, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        if mode.startswith("r"):
            return real(path, mode, *arguments, **options)
        points.pass_one(f"open for {mode}", error)
        file: Any = real(path, mode, *arguments, **options)
        write = file.write

        def write_in_two(content: Any) -> int:
            half = len(content) // 2
            write(content[:half])
            file.flush()
            points.pass_one("write", error)
            return half + int(write(content[half:]))

        return _Writing(file, write_in_two)

    # Every caller's, in this process that ends with the test; mypy forbids to replace any method.
    Path.open = opened  # type: ignore[method-assign, assignment]


class _Writing:
    """An open file with another `write`; its own cannot be set."""

    def __init__(self, file: Any, write: Callable[[Any], int]) -> None:
        self._file = file
        self.write = write

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> "_Writing":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _database_that_fails(points: Points) -> None:
    def execute(_cursor: Any, statement: str, _parameters: Any, context: Any) -> None:
        if statement.startswith(WRITES):
            words = statement.split()
            table = words[1] if words[0] == "UPDATE" else words[2]
            error = context.dialect.dbapi.OperationalError
            points.pass_one(f"{words[0]} {table}", lambda: error("disk I/O error"))

    event.listen(Engine, "do_execute", execute)
    event.listen(Engine, "do_executemany", execute)
    real = DefaultDialect.do_commit

    def commit(dialect: Any, connection: Any) -> None:
        error = dialect.dbapi.OperationalError
        points.pass_one("commit", lambda: error("disk I/O error"))
        # SQLAlchemy gives no types for what a dialect does.
        real(dialect, connection)  # type: ignore[no-untyped-call]
        points.pass_one("committed", lambda: error("connection lost"))

    # There is no event for what comes after a commit; mypy forbids to replace any method.
    DefaultDialect.do_commit = commit  # type: ignore[method-assign]
