import hashlib
import os
from pathlib import Path

import pytest

from store.artifacts import ArtifactFolder, CheckpointCorrupt, manifest_hash

JOB = "job_0123456789abcdef"


@pytest.fixture
def artifacts(tmp_path: Path) -> ArtifactFolder:
    return ArtifactFolder(tmp_path / "artifacts")


def save(folder: Path) -> None:
    (folder / "weights.safetensors").write_bytes(b"weights")
    (folder / "state.json").write_bytes(b"{}")


def names(artifacts: ArtifactFolder) -> list[str]:
    return sorted(path.name for path in (artifacts.root / JOB).iterdir())


def test_a_checkpoint_is_written_and_found_again(artifacts: ArtifactFolder) -> None:
    stored = artifacts.write(JOB, 3, 700, save)
    hashes = {
        "state.json": hashlib.sha256(b"{}").hexdigest(),
        "weights.safetensors": hashlib.sha256(b"weights").hexdigest(),
    }
    assert (stored.folder, stored.size_bytes, stored.files) == (f"{JOB}/3-700", 9, hashes)
    listing = (
        f"state.json {hashes['state.json']}\nweights.safetensors {hashes['weights.safetensors']}"
    )
    assert stored.sha256 == hashlib.sha256(listing.encode()).hexdigest()
    assert names(artifacts) == ["3-700"]
    path = artifacts.verified(stored.folder, stored.files)
    assert (path / "weights.safetensors").read_bytes() == b"weights"


def test_files_and_folders_are_synced_before_and_after_the_rename(
    artifacts: ArtifactFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order is what survives power loss: contents, their folder, the rename, the folders
    above."""
    log: list[str] = []
    fsync, rename = os.fsync, Path.rename

    def spy_fsync(descriptor: int) -> None:
        log.append(Path(f"/proc/self/fd/{descriptor}").readlink().name.split("-")[0])
        fsync(descriptor)

    def spy_rename(self: Path, target: Path) -> Path:
        log.append("rename")
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", spy_fsync)
    monkeypatch.setattr(Path, "rename", spy_rename)
    artifacts.write(JOB, 3, 700, save)
    assert log == ["state.json", "weights.safetensors", ".tmp", "rename", JOB, "artifacts"]


def spy_on_syncs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    log: list[str] = []
    fsync = os.fsync

    def spy(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if path.is_file():
            log.append(path.name)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", spy)
    return log


def save_linked(folder: Path, previous: Path) -> None:
    (folder / "weights.safetensors").hardlink_to(previous / "weights.safetensors")
    (folder / "state.json").write_bytes(b"[]")


def test_a_link_to_a_file_of_the_last_checkpoint_is_not_hashed_again(
    artifacts: ArtifactFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = artifacts.write(JOB, 3, 700, save)
    log = spy_on_syncs(monkeypatch)
    previous = artifacts.root / first.folder
    second = artifacts.write(JOB, 3, 800, lambda folder: save_linked(folder, previous))

    assert log == ["state.json"]
    assert second.files["weights.safetensors"] == hashlib.sha256(b"weights").hexdigest()
    assert second.files["state.json"] == hashlib.sha256(b"[]").hexdigest()
    assert second.size_bytes == 9  # all that a resume needs
    # And of that one into the next.
    previous = artifacts.root / second.folder
    third = artifacts.write(JOB, 3, 900, lambda folder: save_linked(folder, previous))
    assert log == ["state.json"] * 2
    assert third.files == second.files


def test_a_checkpoint_outlives_those_it_shares_files_with(artifacts: ArtifactFolder) -> None:
    first = artifacts.write(JOB, 3, 700, save)
    previous = artifacts.root / first.folder
    second = artifacts.write(JOB, 3, 800, lambda folder: save_linked(folder, previous))

    artifacts.remove(first.folder)
    path = artifacts.verified(second.folder, second.files)
    assert (path / "weights.safetensors").read_bytes() == b"weights"

    third = artifacts.write(JOB, 3, 900, lambda folder: save_linked(folder, path))
    artifacts.remove(third.folder)
    artifacts.verified(second.folder, second.files)


def test_a_link_that_this_process_did_not_hash_is_hashed_and_synced(
    artifacts: ArtifactFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The attempt before may have died before its files were on the disk."""
    first = artifacts.write(JOB, 3, 700, save)
    previous = artifacts.root / first.folder
    log = spy_on_syncs(monkeypatch)
    resumed = ArtifactFolder(artifacts.root)
    second = resumed.write(JOB, 4, 800, lambda folder: save_linked(folder, previous))

    assert log == ["state.json", "weights.safetensors"]
    resumed.verified(second.folder, second.files)


def test_a_linked_file_that_was_changed_is_hashed_again(artifacts: ArtifactFolder) -> None:
    first = artifacts.write(JOB, 3, 700, save)
    previous = artifacts.root / first.folder
    (previous / "weights.safetensors").write_bytes(b"heavier weights")
    second = artifacts.write(JOB, 3, 800, lambda folder: save_linked(folder, previous))

    assert second.files["weights.safetensors"] == hashlib.sha256(b"heavier weights").hexdigest()


def test_a_new_file_is_hashed_whatever_its_inode(artifacts: ArtifactFolder) -> None:
    """The numbers of removed files are given again; here even time and size are the same."""
    first = artifacts.write(JOB, 3, 700, save)
    old = (artifacts.root / first.folder / "weights.safetensors").stat()
    artifacts.remove(first.folder)

    def save_others(folder: Path) -> None:
        for number in range(20):
            path = folder / f"{number}.safetensors"
            path.write_bytes(b"WEIGHTS")
            os.utime(path, ns=(old.st_atime_ns, old.st_mtime_ns))

    second = artifacts.write(JOB, 3, 800, save_others)
    assert set(second.files.values()) == {hashlib.sha256(b"WEIGHTS").hexdigest()}


def fail_halfway(folder: Path) -> None:
    save(folder)
    raise OSError("no space left")


def interrupt(folder: Path) -> None:
    save(folder)
    raise KeyboardInterrupt


def test_a_failed_write_leaves_nothing(artifacts: ArtifactFolder) -> None:
    with pytest.raises(OSError, match="no space left"):
        artifacts.write(JOB, 3, 700, fail_halfway)
    with pytest.raises(KeyboardInterrupt):
        artifacts.write(JOB, 3, 700, interrupt)
    assert names(artifacts) == []


def test_a_failure_after_the_rename_leaves_nothing_either(
    artifacts: ArtifactFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        if path.name == JOB:
            raise OSError("the disk is gone")

    monkeypatch.setattr("store.artifacts.sync", refuse)
    with pytest.raises(OSError, match="the disk is gone"):
        artifacts.write(JOB, 3, 700, save)
    assert names(artifacts) == []


def test_a_second_write_of_one_step_does_not_touch_the_first(artifacts: ArtifactFolder) -> None:
    stored = artifacts.write(JOB, 3, 700, save)
    with pytest.raises(OSError, match="not empty"):
        artifacts.write(JOB, 3, 700, save)
    assert names(artifacts) == ["3-700"]
    artifacts.verified(stored.folder, stored.files)


def test_another_epoch_writes_elsewhere(artifacts: ArtifactFolder) -> None:
    artifacts.write(JOB, 3, 700, save)
    artifacts.write(JOB, 4, 700, save)
    assert names(artifacts) == ["3-700", "4-700"]


def test_one_changed_bit_is_found(artifacts: ArtifactFolder) -> None:
    stored = artifacts.write(JOB, 3, 700, save)
    (artifacts.root / stored.folder / "weights.safetensors").write_bytes(b"weightt")
    with pytest.raises(CheckpointCorrupt, match=r"3-700/weights.safetensors: sha256 \w+, expected"):
        artifacts.verified(stored.folder, stored.files)


def test_a_missing_file_is_found(artifacts: ArtifactFolder) -> None:
    stored = artifacts.write(JOB, 3, 700, save)
    (artifacts.root / stored.folder / "state.json").unlink()
    with pytest.raises(CheckpointCorrupt, match=r"state.json: .*No such file"):
        artifacts.verified(stored.folder, stored.files)
    artifacts.remove(stored.folder)
    with pytest.raises(CheckpointCorrupt):
        artifacts.verified(stored.folder, stored.files)


def test_removing_what_is_gone_is_no_error(artifacts: ArtifactFolder) -> None:
    stored = artifacts.write(JOB, 3, 700, save)
    artifacts.remove(stored.folder)
    artifacts.remove(stored.folder)
    assert names(artifacts) == []


@pytest.mark.parametrize(
    "folder",
    [
        "../etc",
        "/etc",
        f"{JOB}/../../etc",
        f"{JOB}/1-2/..",
        f"{JOB}/1-2\n",
        "job_x/1-2",
        f"{JOB}/",
        "",
    ],
)
def test_no_name_leads_out_of_the_folder(artifacts: ArtifactFolder, folder: str) -> None:
    with pytest.raises(AssertionError, match="ours alone"):
        artifacts.remove(folder)
    with pytest.raises(AssertionError, match="ours alone"):
        artifacts.verified(folder, {})


def test_the_sweep_takes_what_earlier_epochs_left_without_a_row(
    artifacts: ArtifactFolder,
) -> None:
    job = artifacts.root / JOB
    ours = ["1-100", "1-200", "2-300", ".tmp-2-abc", "3-400", ".tmp-3-def", "4-500", ".tmp-4-0"]
    foreign = [".nfs0001", "lost+found", "notes"]
    for name in ours + foreign:
        (job / name).mkdir(parents=True)
    (job / "2-300" / "weights").write_bytes(b"x")
    (job / ".DS_Store").write_bytes(b"")
    artifacts.sweep(JOB, named={f"{JOB}/1-200"}, epoch=3)
    # 3 sweeps before it writes; 4 has taken over while 3 was asleep.
    left = ["1-200", "3-400", ".tmp-3-def", "4-500", ".tmp-4-0", ".DS_Store", *foreign]
    assert names(artifacts) == sorted(left)


def test_a_job_without_a_folder_has_nothing_to_sweep(artifacts: ArtifactFolder) -> None:
    artifacts.sweep(JOB, named=set(), epoch=3)
    assert not artifacts.root.exists()


def test_the_hash_of_a_folder_names_its_files() -> None:
    assert manifest_hash({"a": "1", "b": "2"}) == manifest_hash({"b": "2", "a": "1"})
    assert manifest_hash({"a": "1", "b": "2"}) != manifest_hash({"a": "2", "b": "1"})
