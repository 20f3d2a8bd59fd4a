"""A process by fork instead of exec: milliseconds where Python and its imports take a second."""

import os
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import IO, Any

STDIN, STDOUT, STDERR = 0, 1, 2


def run_in_fork(body: Callable[[], int | None]) -> int:
    """Returns the pid. The child ends with the body: nothing of its parent is cleaned up in it."""
    sys.stdout.flush()
    sys.stderr.flush()
    if pid := os.fork():
        return pid
    code = 1
    try:
        code = body() or 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def exit_code(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


class ForkedTrainer:
    """As much of `subprocess.Popen` as `worker.trainer_process` uses."""

    main: Callable[[], int]  # what the trainer's module would do

    def __init__(self, command: list[str], *, stdout: IO[bytes], env: dict[str, str], **_: Any):
        read_end, write_end = os.pipe()
        log = stdout.fileno()

        def body() -> int:
            os.setpgid(0, 0)
            os.dup2(read_end, STDIN)
            os.dup2(log, STDOUT)
            os.dup2(log, STDERR)
            os.close(write_end)
            os.environ.clear()
            os.environ.update(env)
            sys.stdin = os.fdopen(STDIN, closefd=False)
            sys.argv = command[2:]
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            return type(self).main()

        self.pid = run_in_fork(body)
        with suppress(PermissionError, ProcessLookupError):
            os.setpgid(self.pid, self.pid)  # whoever of the two comes first
        self.returncode: int | None = None
        os.close(read_end)
        self.stdin: IO[bytes] = os.fdopen(write_end, "wb")

    def poll(self) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self) -> int:
        if self.returncode is None:
            self.returncode = exit_code(self.pid)
        return self.returncode
