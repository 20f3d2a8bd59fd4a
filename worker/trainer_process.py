"""The trainer seen from the supervisor: start it, hear it, stop it, kill it."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO

from store.processes import kill_group
from worker.channel import STACK_SIGNAL, Message, Order, receive
from worker.memory import oom_kills, peak_resident_bytes

# The trainer runs environment code: it gets no key, no database, no broker, no object store.
SECRET_PREFIXES = ("MRQ_", "AWS_")
LOG_TAIL_BYTES = 2_000
# A server on the same machine answers while a job trains, and the lease is renewed in time.
NICENESS = 5
STACK_BYTES = 20_000
STACK_SECONDS = 1.0
MEMORY_SECONDS = 1.0
TRAINER = "worker.trainer_start"


class TrainerProcess:
    """Start it from a thread that outlives it: the kernel kills it when that thread ends."""

    def __init__(self, order: Order, log: Path, module: str = TRAINER) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self._log = log
        self._messages: queue.Queue[Message | None] = queue.Queue(maxsize=64)
        read_end, write_end = os.pipe()
        try:
            with log.open("ab") as output:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", module, str(os.getpid()), str(write_end)],
                    stdin=subprocess.PIPE,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    pass_fds=(write_end,),
                    env=_clean_environment(order.threads),
                    start_new_session=True,
                )
            _let_others_go_first(self._process.pid)
        finally:
            os.close(write_end)
        self._stream = os.fdopen(read_end, "rb")
        self._heard_all = False
        self._killed_by_us = False
        self._oom_kills = oom_kills()
        self._peak_memory: int | None = None
        self._peak_memory_due = 0.0
        threading.Thread(target=self._read, args=(self._stream,), daemon=True).start()
        self._say(json.dumps(asdict(order)))

    @property
    def pid(self) -> int:
        return self._process.pid

    def next_message(self, timeout: float) -> Message | None:
        """None when nothing came in time, or nothing will come: then `exit_code` is set."""
        self._look_at_memory()
        try:
            message = self._messages.get(timeout=timeout)
        except queue.Empty:
            if self._process.poll() is not None:
                kill_group(self._process.pid)  # a process it forked may still hold the pipe open
            return None
        if message is None:
            self._heard_all = True
            self._process.wait()
        return message

    @property
    def exit_code(self) -> int | None:
        """None while it runs or messages are still unread. Negative: killed by that signal."""
        return self._process.returncode if self._heard_all else None

    @property
    def peak_memory_bytes(self) -> int | None:
        """The most that was resident at once, to within a second of its end. Of the trainer
        itself, not of what its environment started."""
        return self._peak_memory

    @property
    def ran_out_of_memory(self) -> bool:
        """The kernel killed a process of this cgroup while it ran, and it was killed, not by us."""
        killed = self.exit_code == -signal.SIGKILL and not self._killed_by_us
        return killed and oom_kills() > self._oom_kills

    def ask_to_stop(self) -> None:
        """It writes a checkpoint of the step it is in and ends."""
        self._say("stop")

    def kill(self) -> None:
        """The whole process group, with whatever the environment started."""
        self._killed_by_us = True
        kill_group(self._process.pid)
        self._process.wait()

    def write_stack(self) -> str:
        """What it is doing, as its own signal handler tells; this is in its log then, too.

        Empty from one that is stopped, or that has not come as far as having a handler.
        """
        before = self._log.stat().st_size
        with suppress(ProcessLookupError):
            os.kill(self._process.pid, STACK_SIGNAL)
        until = time.monotonic() + STACK_SECONDS
        stack = ""
        while time.monotonic() < until:
            time.sleep(STACK_SECONDS / 10)
            earlier, stack = stack, self._read_log(before)
            if stack and stack == earlier:
                break
        return stack

    def log_tail(self) -> str:
        return self._read_log(max(0, self._log.stat().st_size - LOG_TAIL_BYTES)).strip()

    def _read_log(self, start: int) -> str:
        with self._log.open("rb") as file:
            file.seek(start)
            return file.read(STACK_BYTES).decode(errors="replace")

    def close(self) -> None:
        self.kill()
        while not self._heard_all:  # lets the reader see the end of the pipe
            self._heard_all = self._messages.get() is None
        self._stream.close()
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()

    def _look_at_memory(self) -> None:
        if time.monotonic() >= self._peak_memory_due:
            self._peak_memory_due = time.monotonic() + MEMORY_SECONDS
            self._peak_memory = peak_resident_bytes(self._process.pid) or self._peak_memory

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            return  # it has died; its exit code tells the rest

    def _read(self, stream: IO[bytes]) -> None:
        for message in receive(stream):
            self._messages.put(message)
        self._messages.put(None)


def _let_others_go_first(pid: int) -> None:
    """What the trainer starts, threads and environments, inherits it."""
    own = os.getpriority(os.PRIO_PROCESS, 0)
    with suppress(ProcessLookupError):
        os.setpriority(os.PRIO_PROCESS, pid, min(19, own + NICENESS))


def _clean_environment(threads: int) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(SECRET_PREFIXES)}
    # Each step takes and frees the same large blocks; glibc must not hand them back every time.
    allocation = {"MALLOC_TRIM_THRESHOLD_": "1000000000", "MALLOC_MMAP_THRESHOLD_": "1000000000"}
    return {**allocation, **kept, "OMP_NUM_THREADS": str(threads), "PYTHONUNBUFFERED": "1"}
