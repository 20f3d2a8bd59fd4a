"""What the object store answers, told apart: there, missing, unreachable."""

import os
from pathlib import Path

import pytest

from store import object_store
from store.errors import StorageUnreachable
from store.object_store import CHUNK_BYTES, ObjectMissing, ObjectStore
from tests.buckets import Bucket


@pytest.fixture
def objects(bucket: Bucket) -> ObjectStore:
    return ObjectStore(bucket.url)


@pytest.mark.parametrize("size", [0, 5, 2 * CHUNK_BYTES + 1])
def test_what_is_put_is_got(
    objects: ObjectStore, bucket: Bucket, tmp_path: Path, size: int
) -> None:
    """Also in parts."""
    content = os.urandom(size)
    (tmp_path / "here").write_bytes(content)
    objects.put(tmp_path / "here", "a/b")
    assert bucket.names() == ["a/b"]
    assert objects.size("a/b") == size
    objects.get("a/b", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == content
    if size:
        assert objects.read("a/b", size - 3, size) == content[-3:]


def test_a_listing_has_only_what_is_below_and_is_never_an_old_one(
    objects: ObjectStore, bucket: Bucket
) -> None:
    bucket.client.put_object(Bucket=bucket.name, Key="elsewhere", Body=b"")
    assert list(objects.list()) == []
    bucket.put("a/b", b"123")
    bucket.put("ab/c", b"1")
    assert [(o.name, o.size_bytes) for o in objects.list()] == [("a/b", 3), ("ab/c", 1)]
    assert [o.name for o in objects.list("a")] == ["a/b"]


def test_deleting_what_is_gone_is_no_error(objects: ObjectStore, bucket: Bucket) -> None:
    bucket.put("a", b"")
    bucket.put("b", b"")
    objects.delete(["a", "nothing"])
    assert bucket.names() == ["b"]


def test_a_missing_object_is_missing(objects: ObjectStore, tmp_path: Path) -> None:
    with pytest.raises(ObjectMissing):
        objects.size("nothing")
    with pytest.raises(ObjectMissing):
        objects.read("nothing", 0, 1)
    with pytest.raises(ObjectMissing):
        objects.get("nothing", tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("bucket")
def test_a_missing_bucket_says_nothing_of_its_objects() -> None:
    with pytest.raises(StorageUnreachable):
        ObjectStore("s3://no-such-bucket/x").size("a")


def test_a_server_that_is_away_says_nothing_of_its_objects(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(object_store, "TRIES", 1)
    objects = ObjectStore(bucket.url)
    (tmp_path / "here").write_bytes(b"1")
    for ask in (
        lambda: objects.size("a"),
        lambda: objects.put(tmp_path / "here", "a"),
        lambda: objects.delete(["a"]),
        lambda: list(objects.list()),
    ):
        with pytest.raises(StorageUnreachable) as refusal:
            ask()
        assert "127.0.0.1:9" in refusal.value.why
        assert "127.0.0.1" not in refusal.value.message


def test_a_full_disk_here_is_not_blamed_on_the_store(objects: ObjectStore, bucket: Bucket) -> None:
    bucket.put("a", b"x" * 100_000)
    with pytest.raises(OSError, match="No space left"):
        objects.get("a", Path("/dev/full"))
