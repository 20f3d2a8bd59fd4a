from pathlib import Path

import pytest

from store import file_system
from store.database import Database
from store.errors import SetupError
from store.file_system import SHARED_BETWEEN_HOSTS, file_system_of

MOUNTS = """\
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
31 27 0:40 / /srv rw,relatime shared:5 - nfs4 server:/srv rw,vers=4.2
32 31 0:41 / /srv/local rw,relatime - xfs /dev/vdb rw
33 27 0:42 / /mnt/two\\040words rw - cifs //server/share rw
34 27 0:43 / /over rw - nfs server:/a rw
35 27 0:44 / /over rw - tmpfs tmpfs rw
"""


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("/data/mrq.db", "ext4"),
        ("/srv/mrq/mrq.db", "nfs4"),
        ("/srv/local/mrq.db", "xfs"),
        ("/srvother/mrq.db", "ext4"),
        ("/mnt/two words/mrq.db", "cifs"),
        ("/over/mrq.db", "tmpfs"),
    ],
)
def test_the_deepest_and_last_mount_counts(file: str, kind: str) -> None:
    assert file_system_of(Path(file), MOUNTS) == kind


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "ceph"])
def test_what_hosts_share_is_known(kind: str) -> None:
    assert SHARED_BETWEEN_HOSTS.fullmatch(kind)


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "apfs", ""])
def test_local_ones_pass(kind: str) -> None:
    assert not SHARED_BETWEEN_HOSTS.fullmatch(kind)


def test_sqlite_on_a_shared_file_system_is_refused_before_it_is_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"1 0 0:1 / / rw - ext4 a rw\n2 1 0:2 / {tmp_path} rw - nfs4 b rw\n")
    monkeypatch.setattr(file_system, "MOUNTS", mounts)
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for file in (tmp_path / "mrq.db", tmp_path / "link" / "mrq.db"):
        with pytest.raises(SetupError, match=r"on nfs4.*MRQ_DATABASE_URL"):
            Database(f"sqlite:///{file}")
        assert not file.exists()


def test_without_proc_nothing_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_system, "MOUNTS", tmp_path / "none")
    Database(f"sqlite:///{tmp_path / 'mrq.db'}").dispose()
