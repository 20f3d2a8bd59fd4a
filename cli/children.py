"""Child processes: started, watched, started again when they die, stopped in order."""

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from store.processes import describe_exit, kill_group, kill_with_parent

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
# A child that lived this long was healthy: its next death starts with the shortest pause again.
HEALTHY_SECONDS = 60.0


class Child:
    """In a session of its own, so that Ctrl+C in the terminal reaches only `mrq up`."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        say: Callable[[str], None],
        *,
        inherited: Sequence[int] = (),
    ) -> None:
        self.name = name
        self._command = command
        self._environment = environment
        self._log = log
        self._say = say
        self._inherited = inherited
        self._pause = FIRST_PAUSE_SECONDS
        self._start_again_at: float | None = None
        self.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """Negative: the signal that killed it. None while it runs."""
        return self._process.poll()

    @property
    def ended(self) -> bool:
        return self.exit_code is not None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=self._inherited,
                # This process has one thread, so running Python between fork and exec is safe.
                preexec_fn=kill_with_parent,
            )
        self._started_at = time.monotonic()
        self._start_again_at = None

    def watch(self) -> None:
        """Call it often. Starts a dead child again after a pause that doubles."""
        now = time.monotonic()
        if self._start_again_at is not None:
            if now >= self._start_again_at:
                self.start()
            return
        code = self._process.poll()
        if code is None:
            return
        if now - self._started_at > HEALTHY_SECONDS:
            self._pause = FIRST_PAUSE_SECONDS
        how = describe_exit(code)
        self._say(f"{self.name} was {how}; starting it again in {self._pause:g} s ({self._log})")
        self._start_again_at = now + self._pause
        self._pause = min(LONGEST_PAUSE_SECONDS, self._pause * 2)

    def ask_to_stop(self) -> None:
        if not self.ended:
            self._process.terminate()

    def wait(self, until: float) -> None:
        """Until it has ended or the monotonic time `until`; then its whole group is killed."""
        try:
            self._process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._say(f"{self.name} did not stop in time; killed")
        kill_group(self._process.pid)
        self._process.wait()


def stop(children: Sequence[Child], grace_seconds: float) -> None:
    for child in children:
        child.ask_to_stop()
    until = time.monotonic() + grace_seconds
    for child in children:
        child.wait(until)
