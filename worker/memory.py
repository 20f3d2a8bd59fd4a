"""What a trainer's memory was, as Linux tells."""

import re
from pathlib import Path

# The cgroup of this process, as a container or a service manager sees it from inside; version 2.
MEMORY_EVENTS = Path("/sys/fs/cgroup/memory.events")


def oom_kills(events: Path | None = None) -> int:
    """Processes of this cgroup that the kernel has killed for want of memory; 0 if it does not
    say."""
    try:
        text = (events or MEMORY_EVENTS).read_text()
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
