"""The processes of one worker: Celery's main, its pool child (the supervisor), the trainer."""

import signal
from contextlib import suppress
from dataclasses import dataclass

import psutil


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
        for process in self.all():
            send(process, signal.SIGSTOP)

    def wake(self) -> None:
        for process in self.all():
            send(process, signal.SIGCONT)

    def kill(self) -> None:
        for process in self.all():
            send(process, signal.SIGKILL)


def send(process: psutil.Process, signum: signal.Signals) -> None:
    """psutil refuses a pid that another process has by now."""
    with suppress(psutil.NoSuchProcess):
        process.send_signal(signum)
