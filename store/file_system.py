"""Where a SQLite file must not lie: a file system that several hosts share.

Its readers and writers meet in shared memory beside the file, which no two hosts have in common:
they would overwrite each other's pages, in silence.
"""

import re
from pathlib import Path

from store.errors import SetupError

# Network, cluster and host-guest file systems, by the names that Linux gives them.
SHARED_BETWEEN_HOSTS = re.compile(
    r"nfs\d?|cifs|smb\d?|smbfs|afs|ceph|glusterfs|lustre|gpfs|beegfs\w*|ocfs2|gfs2|9p|vboxsf|"
    r"fuse\.(sshfs|glusterfs|ceph.*|s3fs|rclone|gcsfuse|davfs.*|juicefs|vmhgfs.*|moosefs|mfs.*)"
)
MOUNTS = Path("/proc/self/mountinfo")


def refuse_shared_between_hosts(file: Path) -> None:
    """SetupError that says what to use instead. Where there is no /proc, nothing is known."""
    if not MOUNTS.exists():
        return
    kind = file_system_of(file.absolute().resolve(), MOUNTS.read_text())
    if SHARED_BETWEEN_HOSTS.fullmatch(kind):
        raise SetupError(
            f"{file} would be a SQLite database on {kind}, which other hosts may share: they would "
            "destroy it. Set MRQ_DATA_DIR to a folder on a local disk, or, for workers on several "
            "hosts, MRQ_DATABASE_URL to a PostgreSQL."
        )


def file_system_of(file: Path, mounts: str) -> str:
    """`mounts` as in /proc/self/mountinfo; of several on one place the last one is seen."""
    kind, deepest = "", -1
    for line in mounts.splitlines():
        place, _, rest = line.partition(" - ")
        folder = Path(re.sub(r"\\(\d{3})", lambda m: chr(int(m[1], 8)), place.split()[4]))
        if file.is_relative_to(folder) and len(folder.parts) >= deepest:
            kind, deepest = rest.split()[0], len(folder.parts)
    return kind
