"""Every setting, read in one place from `MRQ_...` variables and passed in."""

import os
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


def _half_of_physical_memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


class Settings(BaseSettings):
    """Documented one by one in docs/reference/settings.md; a test holds the two together."""

    model_config = SettingsConfigDict(env_prefix="MRQ_", extra="ignore")

    data_dir: Path = Path("mrq-data")
    # Empty: a SQLite file in the data folder. Else postgresql+psycopg://...
    database_url: str = ""
    # Empty only where nothing rings (the server). redis://... or redis+socket://...
    broker_url: SecretStr = SecretStr("")
    # Empty: a key is made on first start and kept in DATA_DIR/api-key, mode 0600.
    api_key: SecretStr = SecretStr("")
    # Training checkpoints. Empty: DATA_DIR/artifacts.
    artifact_dir: Path = Path()
    device: str = "cpu"  # cpu | cuda | cuda:N, used by the trainer
    trainer_threads: int = Field(default=1, ge=1, le=256)  # one thread keeps runs bit-exact

    # Ownership (seconds). Worst case from a kill to re-queued: lease + reap.
    lease_seconds: float = Field(default=60.0, gt=0)
    heartbeat_seconds: float = Field(default=10.0, gt=0)
    reap_seconds: float = Field(default=5.0, gt=0)
    ring_seconds: float = Field(default=0.5, gt=0)  # how often new jobs are looked for
    ring_again_seconds: float = Field(default=30.0, gt=0)
    backoff_seconds: float = Field(default=5.0, ge=0)  # doubled for each attempt, at most 300
    max_attempts_without_progress: int = Field(default=3, ge=1)
    # A trainer that says nothing for this long hangs in its environment.
    no_progress_seconds: float = Field(default=300.0, gt=0)

    # Limits of one job and one request.
    job_memory_bytes: int = Field(default_factory=_half_of_physical_memory, gt=0)
    max_body_bytes: int = Field(default=1 << 20, gt=0)
    max_batch: int = Field(default=256, ge=1)

    @model_validator(mode="after")
    def _fill_in_and_check(self) -> Self:
        self.data_dir = self.data_dir.expanduser().absolute()
        if not self.database_url:
            self.database_url = f"sqlite:///{self.data_dir / 'mrq.db'}"
        if self.artifact_dir == Path():
            self.artifact_dir = self.data_dir / "artifacts"
        if self.heartbeat_seconds * 3 > self.lease_seconds:
            raise ValueError(
                f"heartbeat_seconds={self.heartbeat_seconds} must be at most a third of "
                f"lease_seconds={self.lease_seconds}, or a single late beat costs the job"
            )
        if 0 < len(self.api_key.get_secret_value()) < 16:
            raise ValueError("MRQ_API_KEY must have at least 16 characters")
        return self

    @property
    def self_fence_seconds(self) -> float:
        """A supervisor that has not renewed for this long stops its trainer by itself."""
        return 0.75 * self.lease_seconds

    @property
    def run_dir(self) -> Path:
        """Sockets, pid files and drain marks of this host."""
        return self.data_dir / "run"

    @property
    def log_dir(self) -> Path:
        return self.data_dir / "logs"
