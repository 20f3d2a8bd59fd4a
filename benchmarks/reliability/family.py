"""The processes of one worker: Celery's main, its pool child (the supervisor), the trainer."""

import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

STOP_SECONDS = 5.0


@dataclass(frozen=True)
class Family:
    main: psutil.Process
    pool: psutil.Process | None
    trainer: psutil.Process | None
    others: tuple[psutil.Process, ...]

    @classmethod
    def of(cls, main_pid: int) -> "Family":
        main = psutil.Process(main_pid)
        pool = trainer = None
        others = []
        for process in main.children(recursive=True):
            with suppress(psutil.Error):
                command = " ".join(process.cmdline())
                if "trainer" in command:
                    trainer = process
                elif "spawn_main" in command:
                    pool = process
                else:
                    others.append(process)
        return cls(main, pool, trainer, tuple(others))

    def all(self) -> list[psutil.Process]:
        named = [self.main, self.pool, self.trainer]
        return [process for process in named if process is not None] + list(self.others)

    def stop(self) -> None:
        """Returns when every thread of it stands still: until one of its threads comes to take the
        signal, the others of a process run on."""
        for process in self.all():
            send(process, signal.SIGSTOP)
        until = time.monotonic() + STOP_SECONDS
        while any(_runs(process) for process in self.all()) and time.monotonic() < until:
            time.sleep(0.01)

    def wake(self) -> None:
        for process in self.all():
            send(process, signal.SIGCONT)

    def kill(self) -> None:
        for process in self.all():
            send(process, signal.SIGKILL)


def _runs(process: psutil.Process) -> bool:
    try:
        tasks = list(Path(f"/proc/{process.pid}/task").iterdir())
        # pid (command) state ...
        states = [(task / "stat").read_text().rpartition(")")[2].split()[0] for task in tasks]
    except OSError:
        return False
    return any(state not in "TZX" for state in states)


def send(process: psutil.Process, signum: signal.Signals) -> None:
    """psutil refuses a pid that another process has by now."""
    with suppress(psutil.NoSuchProcess):
        process.send_signal(signum)
