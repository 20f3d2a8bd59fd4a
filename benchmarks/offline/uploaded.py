"""A log as a run finds it once it was uploaded."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

from mrq_core.csv_table import Limits
from mrq_core.logged.reading import read_log
from mrq_core.run import DatasetFile


def uploaded(content: bytes, folder: Path) -> DatasetFile:
    """Writes FOLDER/log.csv."""
    path = folder / "log.csv"
    path.write_bytes(content)
    columns = read_log(io.BytesIO(content), Limits()).columns
    return DatasetFile(
        path=str(path),
        sha256=hashlib.sha256(content).hexdigest(),
        roles=columns.roles,
        features=columns.features,
        choices=columns.choices,
    )
