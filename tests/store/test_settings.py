import re
from pathlib import Path

import pytest
from pydantic import ValidationError

import store
from store.settings import Settings

PAGE = Path(store.__file__).parent.parent / "docs" / "reference" / "settings.md"


def test_the_page_names_every_setting_and_its_default() -> None:
    rows = re.findall(r"^\| `MRQ_(\w+)` \| ([^|]+) \|", PAGE.read_text(), re.MULTILINE)
    documented = {name.lower(): default.strip() for name, default in rows}
    assert len(rows) == len(documented)
    assert documented == {name: shown(name) for name in Settings.model_fields} | {
        # What is computed is told in words.
        "database_url": "empty: `mrq.db` in the data folder",
        "api_key": "empty: made at the first start, kept in `DATA_DIR/api-key` with mode 0600",
        "artifact_dir": "empty: `artifacts` in the data folder",
        "cache_dir": "empty: `cache` in the data folder",
        "job_memory_bytes": "half of the machine's memory",
    }


def shown(name: str) -> str:
    default = Settings.model_fields[name].default
    return f"`{default}`" if str(default) else "empty"


def test_what_is_left_empty_lies_in_the_data_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings()
    data = tmp_path / "mrq-data"
    assert settings.data_dir == data
    assert settings.database_url == f"sqlite:///{data / 'mrq.db'}"
    assert settings.artifact_dir == data / "artifacts"
    assert settings.cache_dir == data / "cache"
    assert (settings.run_dir, settings.log_dir) == (data / "run", data / "logs")
    assert list(tmp_path.iterdir()) == [], "settings make nothing"


def test_paths_do_not_depend_on_where_a_process_stands(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    settings = Settings(data_dir=Path("~/d"), artifact_dir=Path("a"))
    assert settings.data_dir == tmp_path / "home" / "d"
    assert settings.artifact_dir == tmp_path / "a"


def test_they_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MRQ_LEASE_SECONDS", "90")
    monkeypatch.setenv("MRQ_BROKER_URL", "redis://:pw@host:1/0")
    settings = Settings()
    assert settings.lease_seconds == 90.0
    assert settings.self_fence_seconds == 67.5
    assert settings.broker_url.get_secret_value() == "redis://:pw@host:1/0"


BAD = [
    ("LEASE_SECONDS", "abc", "valid number"),
    ("LEASE_SECONDS", "0", "greater than 0"),
    ("LEASE_SECONDS", "inf", "finite"),
    ("LEASE_SECONDS", "nan", "finite"),
    ("LEASE_SECONDS", "1e18", "less than or equal to 86400"),
    ("HEARTBEAT_SECONDS", "-1", "greater than 0"),
    ("REAP_SECONDS", "", "valid number"),
    ("BACKOFF_SECONDS", "-0.1", "greater than or equal to 0"),
    ("MAX_ATTEMPTS_WITHOUT_PROGRESS", "0", "greater than or equal to 1"),
    ("TRAINER_THREADS", "257", "less than or equal to 256"),
    ("TRAINER_THREADS", "1.5", "valid integer"),
    ("DEVICE", "gpu", "pattern"),
    ("DEVICE", "cuda:", "pattern"),
    ("ARTIFACTS_URL", "gs://bucket", "pattern"),
    ("ARTIFACTS_URL", "s3://", "pattern"),
    ("ARTIFACTS_URL", "s3://bucket/a?b", "pattern"),
    ("DISK_RESERVE_BYTES", "-1", "greater than or equal to 0"),
    ("JOB_MEMORY_BYTES", "0", "greater than 0"),
    ("MAX_BODY_BYTES", "1e3", "valid integer"),
    ("MAX_BATCH", "0", "greater than or equal to 1"),
]


@pytest.mark.parametrize(("name", "value", "allowed"), BAD)
def test_a_bad_value_is_named_with_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, allowed: str
) -> None:
    monkeypatch.setenv(f"MRQ_{name}", value)
    with pytest.raises(ValidationError) as refusal:
        Settings()
    (error,) = refusal.value.errors()
    assert error["loc"] == (name.lower(),)
    assert allowed in error["msg"]


BAD_TOGETHER = [
    ({"HEARTBEAT_SECONDS": "21"}, "heartbeat_seconds=21.0 must be at most a third of lease_sec"),
    ({"API_KEY": "short"}, "MRQ_API_KEY must have at least 16 characters"),
    ({"DATABASE_URL": "mysql://u:secret@h/d"}, "database_url begins with 'mysql'; allowed: sqlite"),
    ({"DATABASE_URL": "sqlite://"}, "database_url begins with 'sqlite'; allowed: sqlite:///"),
]


@pytest.mark.parametrize(("values", "message"), BAD_TOGETHER)
def test_values_that_do_not_go_together(
    monkeypatch: pytest.MonkeyPatch, values: dict[str, str], message: str
) -> None:
    for name, value in values.items():
        monkeypatch.setenv(f"MRQ_{name}", value)
    with pytest.raises(ValidationError, match=re.escape(message)):
        Settings()


def test_secrets_are_never_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MRQ_API_KEY", "geheim-0123456789")
    monkeypatch.setenv("MRQ_HEARTBEAT_SECONDS", "1000")  # a mistake shows all values at hand
    with pytest.raises(ValidationError, match="heartbeat_seconds=1000") as refusal:
        Settings()
    assert "geheim" not in str(refusal.value)
    monkeypatch.delenv("MRQ_HEARTBEAT_SECONDS")
    monkeypatch.setenv("MRQ_BROKER_URL", "redis://:geheim@host:1/0")
    monkeypatch.setenv("MRQ_DATABASE_URL", "postgresql+psycopg://u:geheim@host/d")
    assert "geheim" not in repr(Settings()) + str(Settings())
