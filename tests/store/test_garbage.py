"""Folders that no row names are found and removed, and no others."""

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from store.artifacts import ArtifactFolder, StoredFolder
from store.database import Database
from store.garbage import damaged_checkpoints, find_garbage, remove_garbage
from store.ownership import Claim
from store.results import record_training_checkpoint
from store.settings import Settings
from tests.buckets import Bucket
from tests.store.acting import claim, release, running
from tests.store.acting import stored as checkpoint_of


@pytest.fixture(autouse=True)
def _folder(settings: Settings) -> None:
    settings.artifact_dir.mkdir(parents=True)


def write(settings: Settings, claimed: Claim, step: int, *, epoch: int = 1) -> StoredFolder:
    def save(folder: Path) -> None:
        (folder / "state.json").write_text(f"step {step}")

    return ArtifactFolder(settings.artifact_dir).write(claimed.job_id, epoch, step, save)


def age(settings: Settings, seconds: float) -> None:
    for path in settings.artifact_dir.glob("*/*"):
        os.utime(path, (time.time() - seconds,) * 2)


def found(database: Database, settings: Settings) -> list[str]:
    return [each.folder.partition("/")[2] for each in find_garbage(database, settings)]


def test_what_no_row_names_is_removed_and_the_rest_stays(
    database: Database, settings: Settings
) -> None:
    claimed = running(database, settings)
    stored = write(settings, claimed, 100)
    record_training_checkpoint(database, claimed, 100, stored, keep=2)
    write(settings, claimed, 200)
    (settings.artifact_dir / claimed.job_id / ".tmp-1-abc").mkdir()
    (settings.artifact_dir / claimed.job_id / "notes").mkdir()
    (settings.artifact_dir / "not-ours").mkdir()
    release(database, claimed)
    age(settings, 3_600)
    assert found(database, settings) == [".tmp-1-abc", "1-200"]

    remove_garbage(settings, find_garbage(database, settings))
    assert found(database, settings) == []
    left = sorted(path.name for path in (settings.artifact_dir / claimed.job_id).iterdir())
    assert left == ["1-100", "notes"]
    assert (settings.artifact_dir / "not-ours").is_dir()


def test_what_its_owner_may_be_writing_is_left(database: Database, settings: Settings) -> None:
    claimed = running(database, settings)
    write(settings, claimed, 100)
    age(settings, 3_600)
    assert found(database, settings) == [], "its row may come yet"
    release(database, claimed)
    assert found(database, settings) == ["1-100"]


def test_what_is_new_is_left(database: Database, settings: Settings) -> None:
    claimed = running(database, settings)
    write(settings, claimed, 100)
    release(database, claimed)
    age(settings, 0)
    assert found(database, settings) == []


def test_a_job_that_is_gone_leaves_nothing(database: Database, settings: Settings) -> None:
    gone = Claim(job_number=9, job_id="job_00ff", epoch=1, spec={})
    write(settings, gone, 100)
    age(settings, 3_600)
    remove_garbage(settings, find_garbage(database, settings))
    assert list(settings.artifact_dir.iterdir()) == []


def test_objects_are_garbage_by_the_same_rules(
    database: Database, settings: Settings, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.artifacts_url = bucket.url
    claimed = running(database, settings)
    named, left, next_one = (f"{claimed.job_id}/files/{e}-{d * 64}" for e, d in ("1a", "1b", "2c"))
    bucket.put("job_0/notes", b"")
    bucket.put("not-ours", b"")
    for name in (named, left, next_one):
        bucket.put(name, b"12")
    stored = replace(checkpoint_of(claimed, 100), files={"f": "a" * 64}, epochs={"f": 1})
    record_training_checkpoint(database, claimed, 100, stored, keep=2)

    def told() -> list[str]:
        return [each.folder for each in find_garbage(database, settings)]

    assert told() == [], "too new"
    later = time.time() + 3_600
    monkeypatch.setattr("store.garbage.time.time", lambda: later)
    assert told() == [], "its owner may be about to name them"
    release(database, claimed)
    assert told() == [left, next_one]
    second = claim(database, settings)
    assert (second.epoch, told()) == (2, [left])
    remove_garbage(settings, find_garbage(database, settings))
    assert set(bucket.names()) == {named, next_one, "job_0/notes", "not-ours"}


@pytest.mark.parametrize("harm", ["change", "remove"])
def test_a_damaged_file_is_found(database: Database, settings: Settings, harm: str) -> None:
    claimed = running(database, settings)
    stored = write(settings, claimed, 100)
    record_training_checkpoint(database, claimed, 100, stored, keep=2)
    assert list(damaged_checkpoints(database, settings)) == []
    file = settings.artifact_dir / stored.folder / "state.json"
    if harm == "change":
        file.write_text("step 999")
    else:
        file.unlink()
    (finding,) = damaged_checkpoints(database, settings)
    assert (finding.invariant, finding.job_id) == ("I4", claimed.job_id)
    assert f"{stored.folder}/state.json" in finding.text
