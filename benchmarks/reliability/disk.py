"""A small disk of the campaign's own, that can be filled and emptied again."""

import ctypes
import errno
import os
from pathlib import Path

_CLONE_NEWNS = 0x20000
_MNT_DETACH = 2
_MS_REC_PRIVATE = 0x4000 | 0x40000


class SmallDisk:
    """A tmpfs, mounted where only this process and its children see it: it ends with them."""

    def __init__(self, folder: Path, size: str = "256m") -> None:
        """Raises OSError where that is not allowed."""
        self._folder = folder
        self._ballast = folder / "ballast"
        libc = ctypes.CDLL(None, use_errno=True)
        _require(libc.unshare(_CLONE_NEWNS))
        _require(libc.mount(b"none", b"/", None, _MS_REC_PRIVATE, None))
        where, options = str(folder).encode(), f"size={size}".encode()
        _require(libc.mount(b"tmpfs", where, b"tmpfs", 0, options))

    def fill(self) -> None:
        descriptor = os.open(self._ballast, os.O_CREAT | os.O_WRONLY)
        try:
            for size in (1 << 20, 1 << 12):
                self._write_until_full(descriptor, b"\0" * size)
        finally:
            os.close(descriptor)

    def empty(self) -> None:
        self._ballast.unlink(missing_ok=True)

    def unmount(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        _require(libc.umount2(str(self._folder).encode(), _MNT_DETACH))

    @staticmethod
    def _write_until_full(descriptor: int, block: bytes) -> None:
        try:
            while os.write(descriptor, block) == len(block):
                pass
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise


def _require(result: int) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
