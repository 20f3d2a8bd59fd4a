"""What a trainer's memory was, as Linux tells."""

import re
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUP = Path("/proc/self/cgroup")


def oom_kills(cgroups: Path = CGROUPS, own: Path = OWN_CGROUP) -> int:
    """Processes of this process's cgroup (version 2) that the kernel has killed for want of memory;
    0 if it does not say."""
    try:
        # 0::/ in a container, which sees its own cgroup as the root; 0::/system.slice/... outside.
        path = re.search(r"^0::/(.*)$", own.read_text(), re.M)
        if path is None:
            return 0
        text = (cgroups / path[1] / "memory.events").read_text()
    except OSError:
        return 0
    found = re.search(r"^oom_kill (\d+)$", text, re.M)
    return 0 if found is None else int(found[1])


def peak_resident_bytes(pid: int) -> int | None:
    """None once it has ended."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    found = re.search(r"^VmHWM:\s+(\d+) kB$", text, re.M)
    return None if found is None else int(found[1]) * 1024
