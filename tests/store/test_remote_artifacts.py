"""Checkpoints in a bucket: what is stored, shared, fetched, refused and removed."""

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from store.artifacts import ArtifactFolder, CheckpointCorrupt, StoredFolder
from store.checkpoint_files import CheckpointFiles
from store.errors import FileGone, StorageUnreachable
from store.object_store import ObjectStore
from store.remote_artifacts import RemoteArtifacts
from tests.buckets import Bucket

JOB = "job_0123456789abcdef"


@pytest.fixture
def here(bucket: Bucket, tmp_path: Path) -> RemoteArtifacts:
    return RemoteArtifacts(tmp_path / "here", ObjectStore(bucket.url))


@pytest.fixture
def elsewhere(bucket: Bucket, tmp_path: Path) -> RemoteArtifacts:
    """Another host, with an empty cache."""
    return RemoteArtifacts(tmp_path / "elsewhere", ObjectStore(bucket.url))


def write(host: RemoteArtifacts, epoch: int, step: int, files: Mapping[str, str]) -> StoredFolder:
    def save(folder: Path) -> None:
        for name, text in files.items():
            (folder / name).write_text(text)

    return ArtifactFolder(host.root).write(JOB, epoch, step, save)


def publish(
    host: RemoteArtifacts,
    epoch: int,
    step: int,
    files: Mapping[str, str],
    last: CheckpointFiles | None = None,
) -> CheckpointFiles:
    return CheckpointFiles.stored(host.publish(write(host, epoch, step, files), epoch, last))


def content(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def left_in(folder: Path) -> list[str]:
    """Beside the lock of whoever fills it."""
    return sorted(path.name for path in folder.iterdir() if path.name != ".bringing")


def test_another_host_resumes_from_what_was_published(
    here: RemoteArtifacts, elsewhere: RemoteArtifacts
) -> None:
    files = publish(here, 1, 10, {"a": "one", "b": "two"})
    folder = elsewhere.resume(files, 2)
    assert folder == elsewhere.root / JOB / "1-10"
    assert content(folder) == {"a": "one", "b": "two"}
    assert left_in(folder.parent) == ["1-10"]
    elsewhere.check(files)


def test_objects_are_named_by_attempt_and_content(here: RemoteArtifacts, bucket: Bucket) -> None:
    files = publish(here, 3, 10, {"a": "one"})
    sha256 = files.hashes["a"]
    assert bucket.names() == [f"{JOB}/files/3-{sha256}"]
    assert files.names == {f"{JOB}/3-10", f"{JOB}/files/3-{sha256}"}


def test_only_what_is_new_is_uploaded(here: RemoteArtifacts, bucket: Bucket) -> None:
    first = publish(here, 1, 10, {"sealed": "for ever", "head": "1"})
    second = publish(here, 2, 20, {"sealed": "for ever", "head": "2"}, first)
    assert second.object_of("sealed") == first.object_of("sealed")
    assert second.epochs == {"sealed": 1, "head": 2}
    assert len(bucket.names()) == 3


def test_what_no_row_names_is_not_shared(here: RemoteArtifacts, bucket: Bucket) -> None:
    """It may be about to be removed, by an attempt that stood still for a while."""
    first = publish(here, 1, 10, {"a": "same"})
    second = publish(here, 2, 10, {"a": "same"})
    here.remove(first.names)
    assert bucket.names() == [second.object_of("a")]


@pytest.mark.parametrize("harm", ["delete", "cut"])
def test_what_the_store_has_lost_is_uploaded_again(
    here: RemoteArtifacts, elsewhere: RemoteArtifacts, bucket: Bucket, harm: str
) -> None:
    first = publish(here, 1, 10, {"a": "same"})
    name = first.object_of("a")
    bucket.delete(name) if harm == "delete" else bucket.put(name, b"sa")
    second = publish(here, 2, 20, {"a": "same"}, first)
    assert content(elsewhere.resume(second, 3)) == {"a": "same"}


def test_a_fenced_attempt_can_spoil_nothing(
    here: RemoteArtifacts, elsewhere: RemoteArtifacts
) -> None:
    """It wakes up with another state of the same step, and cleans up after itself."""
    first = publish(here, 1, 10, {"a": "start"})
    second = publish(elsewhere, 2, 20, {"a": "good"}, first)
    zombie = publish(here, 1, 20, {"a": "stale"}, first)
    here.remove(zombie.names)
    here.sweep(JOB, first.names, 1)
    assert content(elsewhere.resume(second, 3)) == {"a": "good"}
    elsewhere.check(second)


def test_a_second_try_goes_on_where_the_first_one_stopped(
    here: RemoteArtifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    put = ObjectStore.put

    def fail_at_the_second(self: ObjectStore, path: Path, name: str) -> None:
        sent.append(path.name)
        if len(sent) == 2:
            raise StorageUnreachable("gone for a moment")
        put(self, path, name)

    monkeypatch.setattr(ObjectStore, "put", fail_at_the_second)
    stored = write(here, 1, 10, {"a": "1", "b": "2", "c": "3"})
    with pytest.raises(StorageUnreachable):
        here.publish(stored, 1, None)
    here.check(CheckpointFiles.stored(here.publish(stored, 1, None)))
    assert sent == ["a", "b", "b", "c"]


def test_an_upload_that_came_to_nothing_is_not_believed(
    here: RemoteArtifacts, monkeypatch: pytest.MonkeyPatch, bucket: Bucket
) -> None:
    monkeypatch.setattr(ObjectStore, "put", lambda _, __, name: bucket.put(name, b"ha"))
    with pytest.raises(StorageUnreachable) as refusal:
        publish(here, 1, 10, {"a": "half"})
    assert "has 2 bytes, 4 were uploaded" in refusal.value.why


def test_a_file_that_went_bad_on_the_way_is_not_uploaded(
    here: RemoteArtifacts, bucket: Bucket
) -> None:
    stored = write(here, 1, 10, {"a": "good"})
    (here.root / JOB / "1-10" / "a").write_text("evil")
    with pytest.raises(CheckpointCorrupt):
        here.publish(stored, 1, None)
    assert bucket.names() == []


@pytest.mark.parametrize("harm", ["change", "delete"])
def test_a_damaged_object_is_found(
    here: RemoteArtifacts, elsewhere: RemoteArtifacts, bucket: Bucket, harm: str
) -> None:
    files = publish(here, 1, 10, {"a": "good", "b": "good, too"})
    name = files.object_of("a")
    bucket.put(name, b"evil") if harm == "change" else bucket.delete(name)
    with pytest.raises(CheckpointCorrupt, match=f"{JOB}/1-10/a"):
        elsewhere.resume(files, 2)
    assert left_in(elsewhere.root / JOB) == [], "nothing half-way is left"
    with pytest.raises(CheckpointCorrupt):
        here.check(files)


def test_a_store_that_is_away_makes_no_checkpoint_corrupt(
    here: RemoteArtifacts, elsewhere: RemoteArtifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = publish(here, 1, 10, {"a": "good"})

    def away(*_: object) -> None:
        raise StorageUnreachable("away")

    monkeypatch.setattr(ObjectStore, "get", away)
    with pytest.raises(StorageUnreachable):
        elsewhere.resume(files, 2)
    assert content(here.resume(files, 2)) == {"a": "good"}, "what the cache has needs no store"


def test_the_cache_is_verified_and_mended(here: RemoteArtifacts, bucket: Bucket) -> None:
    files = publish(here, 1, 10, {"a": "good", "b": "kept"})
    (here.root / JOB / "1-10" / "a").write_text("evil")
    bucket.delete(files.object_of("b"))  # so it is taken from the cache
    assert content(here.resume(files, 2)) == {"a": "good", "b": "kept"}


def test_a_checkpoint_that_was_never_uploaded_is_not_there(
    here: RemoteArtifacts, elsewhere: RemoteArtifacts
) -> None:
    """Of the time when the installation had a folder."""
    files = CheckpointFiles.stored(write(here, 1, 10, {"a": "x"}))
    with pytest.raises(CheckpointCorrupt, match="never in the object store"):
        elsewhere.resume(files, 2)
    with pytest.raises(FileGone):
        elsewhere.size_of(files, "a")


def test_the_cache_keeps_the_two_that_a_trainer_links_from(here: RemoteArtifacts) -> None:
    last = None
    for step in (10, 20, 30, 40):
        last = publish(here, 1, step, {"a": str(step)}, last)
    assert sorted(path.name for path in (here.root / JOB).iterdir()) == ["1-30", "1-40"]


def test_earlier_attempts_are_swept_and_no_others(
    here: RemoteArtifacts, elsewhere: RemoteArtifacts, bucket: Bucket
) -> None:
    named = publish(here, 1, 10, {"a": "named"})
    publish(here, 1, 20, {"a": "left"})
    mine = publish(elsewhere, 2, 30, {"a": "mine"})
    here.sweep(JOB, named.names, 2)
    assert set(bucket.names()) == {named.object_of("a"), mine.object_of("a")}
    assert [path.name for path in (here.root / JOB).iterdir()] == ["1-10"]


@pytest.mark.parametrize("name", ["../../secret", "/etc/passwd", ".hidden", "a/b", "a\nb", ""])
def test_no_name_that_a_trainer_gives_leads_out(
    here: RemoteArtifacts, elsewhere: RemoteArtifacts, bucket: Bucket, name: str
) -> None:
    files = publish(here, 1, 10, {"a": "x"})
    evil = replace(files, hashes={name: files.hashes["a"]}, epochs={name: 1})
    with pytest.raises(CheckpointCorrupt, match="must not be called"):
        elsewhere.resume(evil, 2)
    stored = replace(write(here, 1, 20, {"a": "x"}), files={name: files.hashes["a"]})
    with pytest.raises(CheckpointCorrupt, match="must not be called"):
        here.publish(stored, 1, None)
    assert len(bucket.names()) == 1


def test_a_link_to_elsewhere_is_not_uploaded(here: RemoteArtifacts, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    stored = write(here, 1, 10, {"a": "x"})
    (here.root / JOB / "1-10" / "a").unlink()
    (here.root / JOB / "1-10" / "a").symlink_to(tmp_path / "secret")
    with pytest.raises(CheckpointCorrupt, match="link to somewhere else"):
        here.publish(stored, 1, None)


OTHER = "job_fedcba9876543210"


def test_what_a_job_began_with_stays_for_who_may_be_at_work_on_it(
    here: RemoteArtifacts, elsewhere: RemoteArtifacts
) -> None:
    source = publish(here, 1, 10, {"a": "one"})
    folder = elsewhere.resume(source, 1)
    last = None
    for step in (10, 20, 30):
        with_other = replace(
            write(elsewhere, 2, step, {"a": f"{step}"}), folder=f"{OTHER}/2-{step}"
        )
        (elsewhere.root / OTHER).mkdir(exist_ok=True)
        (elsewhere.root / JOB / f"2-{step}").rename(elsewhere.root / with_other.folder)
        last = CheckpointFiles.stored(elsewhere.publish(with_other, 2, last))
    assert content(folder) == {"a": "one"}
    assert left_in(elsewhere.root / OTHER) == ["2-20", "2-30"]


def test_two_that_begin_with_one_checkpoint_bring_it_once(
    here: RemoteArtifacts, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the first one reads is never taken away."""
    files = publish(here, 1, 10, {"a": "one", "b": "two"})
    brought: list[str] = []
    get = ObjectStore.get

    def slowly(self: ObjectStore, name: str, target: Path) -> None:
        brought.append(name)
        time.sleep(0.2)
        get(self, name, target)

    monkeypatch.setattr(ObjectStore, "get", slowly)

    def begin(epoch: int) -> int:
        host = RemoteArtifacts(tmp_path / "shared", ObjectStore(bucket.url))
        return host.resume(files, epoch).stat().st_ino

    with ThreadPoolExecutor() as pool:
        inodes = set(pool.map(begin, (1, 1)))
    assert len(inodes) == 1
    assert len(brought) == 2
