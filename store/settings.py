"""Every setting, read in one place from `MRQ_...` variables and passed in."""

import os
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import URL

from store.extras import EXTRAS


def _half_of_physical_memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


DATABASE_URLS = ("sqlite:///", "postgresql+psycopg://", "postgresql://")
# A lease must fit a 64-bit number of milliseconds, and a person's patience.
LONGEST = 86_400.0


class Settings(BaseSettings):
    """Documented one by one in docs/reference/settings.md; a test holds the two together."""

    model_config = SettingsConfigDict(
        env_prefix="MRQ_",
        extra="ignore",
        allow_inf_nan=False,
        hide_input_in_errors=True,  # an error in one must not print the passwords in others
    )

    data_dir: Path = Path("mrq-data")
    # Empty: a SQLite file in the data folder. Else postgresql+psycopg://...
    database_url: str = Field(default="", repr=False)
    # Empty only where nothing rings (the server). redis://... or redis+socket://...
    broker_url: SecretStr = SecretStr("")
    # Empty: a key is made on first start and kept in DATA_DIR/api-key, mode 0600.
    api_key: SecretStr = SecretStr("")
    # Training checkpoints. Empty: DATA_DIR/artifacts.
    artifact_dir: Path = Path()
    # Training checkpoints in an object store instead: s3://BUCKET/PREFIX.
    artifacts_url: str = Field(
        default="", pattern=r"^(s3://[a-z0-9][a-z0-9.-]{1,62}(/[\w./-]*)?)?$"
    )
    # This host's copies of those. Empty: DATA_DIR/cache.
    cache_dir: Path = Path()
    # Stays free, beside twice the last checkpoint's size, before a new one is written.
    disk_reserve_bytes: int = Field(default=256 << 20, ge=0)
    # The trainer's: cpu, cuda or cuda:N.
    device: str = Field(default="cpu", pattern=r"^(cpu|cuda|cuda:\d{1,3})$")
    # The extras that workers have, with commas between. Empty: those here, if this machine trains.
    worker_extras: str = ""
    # Environments of the operator's own, JSON or TOML. Empty: none.
    environments_file: str = ""
    trainer_threads: int = Field(default=1, ge=1, le=256)  # one thread keeps runs bit-exact

    # Ownership (seconds). Worst case from a kill to re-queued: lease + reap.
    lease_seconds: float = Field(default=60.0, gt=0, le=LONGEST)
    heartbeat_seconds: float = Field(default=10.0, gt=0, le=LONGEST)
    reap_seconds: float = Field(default=5.0, gt=0, le=LONGEST)
    ring_seconds: float = Field(default=0.5, gt=0, le=LONGEST)  # how often new jobs are looked for
    ring_again_seconds: float = Field(default=30.0, gt=0, le=LONGEST)
    # Doubled for each attempt, at most 300.
    backoff_seconds: float = Field(default=5.0, ge=0, le=LONGEST)
    # Before a job whose checkpoint found no space is tried again.
    storage_wait_seconds: float = Field(default=60.0, gt=0, le=LONGEST)
    max_attempts_without_progress: int = Field(default=3, ge=1)
    # A trainer that says nothing for this long hangs in its environment.
    no_progress_seconds: float = Field(default=300.0, gt=0, le=LONGEST)

    # Retention (seconds): training checkpoints of ended jobs, 0 for ever; jobs after a DELETE.
    checkpoint_ttl_seconds: float = Field(default=0.0, ge=0)
    deleted_kept_seconds: float = Field(default=7 * 86_400.0, ge=0)

    # Jobs that run at once for one value of the label `owner`. 0: no limit.
    max_running_per_owner: int = Field(default=0, ge=0)

    # Limits of one job and one request.
    job_memory_bytes: int = Field(default_factory=_half_of_physical_memory, gt=0)
    max_body_bytes: int = Field(default=1 << 20, gt=0)
    # Of a checkpoint that is imported: a replay of a million pixel frames is the largest.
    max_import_bytes: int = Field(default=16 << 30, gt=0)
    # Of a policy that is imported, which is held in memory: one of the paper's size has 5 MB.
    max_policy_bytes: int = Field(default=64 << 20, gt=0)
    # Of observations as bytes: 256 of four frames of 84 by 84.
    max_act_bytes: int = Field(default=8 << 20, gt=0)
    max_batch: int = Field(default=256, ge=1)
    # That share a forward pass, in each server process. More take cores from what else runs there.
    act_threads: int = Field(default=1, ge=1, le=64)

    # What this server process calls itself where there are several; empty: by chance.
    server_name: str = Field(default="", pattern=r"^[a-z0-9-]{0,32}$")

    # Control loops of one server process: sessions and what their frames take, open sockets, and
    # how long either may be idle. 256 MiB are 9,000 sessions of four gray frames of 84 by 84.
    session_idle_seconds: float = Field(default=300.0, gt=0, le=LONGEST)
    max_sessions: int = Field(default=4096, ge=0)
    max_session_bytes: int = Field(default=256 << 20, ge=0)
    max_streams: int = Field(default=1024, ge=0)

    # The log of actions: for how long feedback is taken, and how many actions it holds.
    feedback_seconds: float = Field(default=7 * 86_400.0, gt=0)
    max_logged_actions: int = Field(default=1_000_000, ge=0)

    # Limits of one dataset.
    max_dataset_bytes: int = Field(default=64 << 20, gt=0)
    max_dataset_rows: int = Field(default=1_000_000, gt=0)
    max_dataset_columns: int = Field(default=256, gt=0)
    max_dataset_cells: int = Field(default=5_000_000, gt=0)
    # Of the largest table that fits the cells, as text: 5 million cells of some 20 bytes, doubled.
    max_dataset_unpacked_bytes: int = Field(default=256 << 20, gt=0)

    @model_validator(mode="after")
    def _fill_in_and_check(self) -> Self:
        self.data_dir = self.data_dir.expanduser().absolute()
        if not self.database_url:
            file = str(self.data_dir / "mrq.db")
            self.database_url = URL.create("sqlite", database=file).render_as_string()
        if not self.database_url.startswith(DATABASE_URLS):
            kind = self.database_url.split(":", 1)[0]
            raise ValueError(
                f"database_url begins with {kind!r}; allowed: {', '.join(DATABASE_URLS)}"
            )
        if self.artifact_dir == Path():
            self.artifact_dir = self.data_dir / "artifacts"
        self.artifact_dir = self.artifact_dir.expanduser().absolute()
        if self.cache_dir == Path():
            self.cache_dir = self.data_dir / "cache"
        self.cache_dir = self.cache_dir.expanduser().absolute()
        if self.heartbeat_seconds * 3 > self.lease_seconds:
            raise ValueError(
                f"heartbeat_seconds={self.heartbeat_seconds} must be at most a third of "
                f"lease_seconds={self.lease_seconds}, or a single late beat costs the job"
            )
        if unknown := self.stated_extras - set(EXTRAS):
            raise ValueError(
                f"worker_extras has {', '.join(sorted(unknown))}; allowed: {', '.join(EXTRAS)}"
            )
        if 0 < len(self.api_key.get_secret_value()) < 16:
            raise ValueError("MRQ_API_KEY must have at least 16 characters")
        return self

    @property
    def own_environments(self) -> Path | None:
        file = self.environments_file
        return Path(file).expanduser().absolute() if file else None

    @property
    def stated_extras(self) -> frozenset[str]:
        return frozenset(filter(None, (each.strip() for each in self.worker_extras.split(","))))

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
