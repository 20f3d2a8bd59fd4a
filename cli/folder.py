"""The data folder: writable, and used by one `mrq up` at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from store.errors import SetupError
from store.settings import Settings


@contextmanager
def exclusive_data_folder(settings: Settings) -> Iterator[None]:
    """Makes the folder and its parts; the lock ends with the process, however it ends."""
    for folder in (settings.data_dir, settings.run_dir, settings.log_dir, settings.artifact_dir):
        make_folder(folder)
    lock = settings.run_dir / "up.lock"
    with lock.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.read().strip() or "unknown"
            raise SetupError(
                f"Another `mrq up` (pid {owner}) uses the data folder {settings.data_dir}. "
                "Stop it, or name another folder with --data-dir."
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        probe = folder / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise SetupError(
            f"The data folder {folder} cannot be written: {error.strerror}. "
            "Choose another with --data-dir, or change its permissions."
        ) from None
