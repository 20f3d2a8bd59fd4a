"""Hosts with a network between them: Linux network namespaces on one switch.

A host is where processes run that reach each other over TCP alone; its link can be cut and healed
like a cable, and all its processes can be killed like a power cord. Needs root and iproute2.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from store.processes import stop_with_parent

SUBNET = "10.77.0"


def why_not() -> str | None:
    """None where namespaces can be made."""
    if os.geteuid() != 0:
        return "network namespaces are made by root alone"
    if shutil.which("ip") is None:
        return "the program `ip` is missing: install iproute2"
    return None


@dataclass
class Host:
    """`address` is what the others reach it by."""

    network: Network
    name: str
    address: str
    folder: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def namespace(self) -> str:
        return f"{self.network.name}-{self.name}"

    def start(
        self, command: Sequence[str], environment: Mapping[str, str], *, user: int | None = None
    ) -> subprocess.Popen[bytes]:
        """In a session of its own; its output goes to a log in the host's folder."""
        log = self.folder / f"{len(self.processes)}.log"
        enter = ["ip", "netns", "exec", self.namespace]
        if user is not None:
            enter += ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
        with log.open("ab") as output:
            process = subprocess.Popen(
                [*enter, *command],
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=stop_with_parent,
            )
        self.processes.append(process)
        return process

    def cut(self) -> None:
        self.network.link(self, "down")

    def heal(self) -> None:
        self.network.link(self, "up")

    def kill(self) -> None:
        """Everything that runs here, at once."""
        for pid in self.pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in self.processes:
            process.wait()
        until = time.monotonic() + 10
        while self.pids():  # children of those that were waited for
            assert time.monotonic() < until, f"{self.name} still runs {self.pids()}"
            time.sleep(0.02)

    def pids(self) -> list[int]:
        found = _ip("netns", "pids", self.namespace)
        return [int(pid) for pid in found.split()]

    def logs(self) -> str:
        return "\n".join(
            f"== {self.name} {path.name}\n{path.read_text(errors='replace')[-1500:]}"
            for path in sorted(self.folder.glob("*.log"))
        )


@dataclass
class Network:
    name: str
    folder: Path
    hosts: list[Host] = field(default_factory=list)

    @property
    def switch(self) -> str:
        return f"{self.name}-switch"

    def add(self, name: str) -> Host:
        number = len(self.hosts) + 1
        folder = self.folder / name
        folder.mkdir(mode=0o755)
        host = Host(self, name, f"{SUBNET}.{number}", folder)
        inside, outside = "uplink", f"port{number}"
        _ip("netns", "add", host.namespace)
        self.hosts.append(host)
        _ip("-n", self.switch, "link", "add", outside, "type", "veth", "peer", "name", inside)
        _ip("-n", self.switch, "link", "set", inside, "netns", host.namespace)
        _ip("-n", self.switch, "link", "set", outside, "master", "bridge", "up")
        _ip("-n", host.namespace, "addr", "add", f"{host.address}/24", "dev", inside)
        _ip("-n", host.namespace, "link", "set", inside, "up")
        _ip("-n", host.namespace, "link", "set", "lo", "up")
        return host

    def link(self, host: Host, state: str) -> None:
        _ip("-n", self.switch, "link", "set", f"port{self.hosts.index(host) + 1}", state)

    def close(self) -> None:
        for host in self.hosts:
            host.kill()
            _ip("netns", "del", host.namespace)
        _ip("netns", "del", self.switch)


@contextmanager
def network(folder: Path) -> Iterator[Network]:
    """A name of its own, so that two at once do not meet."""
    made = Network(f"mrq{secrets.token_hex(3)}", folder)
    _ip("netns", "add", made.switch)
    try:
        _ip("-n", made.switch, "link", "add", "bridge", "type", "bridge")
        _ip("-n", made.switch, "link", "set", "bridge", "up")
        yield made
    finally:
        made.close()


def _ip(*arguments: str) -> str:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(arguments)}: {done.stderr.strip()}"
    return done.stdout
