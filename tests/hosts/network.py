"""Hosts with a network between them: Linux network namespaces on one switch.

A host is where processes run that reach each other over TCP alone. Its link can be cut and healed,
and all its processes can be killed like a power cord. A cut link is silent, as a firewall or a
switch in the middle is: nobody is told that a packet was lost, no link goes down, and no address
stops being resolved. A host lives as long as something runs on it or this process holds it, so
nothing is left behind, however a test ends.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from pyroute2 import IPRoute

from store.processes import kill_with_parent

SUBNET = "10.77.0"
CLONE_NEWUTS = 0x04000000
CLONE_NEWNET = 0x40000000
LOOPBACK = 1  # the index of `lo`, everywhere
_libc = ctypes.CDLL(None, use_errno=True)


def why_not() -> str | None:
    """None where namespaces can be made."""
    if sys.platform != "linux":
        return "network namespaces are Linux's"
    if os.geteuid() != 0:
        return "only root may make network namespaces"
    return None


class Namespace:
    """A network and a host name of their own. Held by file descriptors, so it needs no name."""

    def __init__(self, hostname: str) -> None:
        with _returning():
            _call("unshare", CLONE_NEWNET | CLONE_NEWUTS)
            socket.sethostname(hostname)
            self._network, self._hostname = _own_namespaces()

    @contextmanager
    def entered(self) -> Iterator[None]:
        """This thread is there, and so is what it starts: processes, threads and sockets."""
        with _returning():
            _call("setns", self._network, CLONE_NEWNET)
            _call("setns", self._hostname, CLONE_NEWUTS)
            yield

    @property
    def descriptor(self) -> int:
        return self._network

    def pids(self) -> list[int]:
        """Of this process it sees nothing: its first thread may be in here."""
        wanted = os.fstat(self._network).st_ino
        numbers = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
        return [pid for pid in numbers if pid != os.getpid() and _network_of(pid) == wanted]

    def close(self) -> None:
        os.close(self._network)
        os.close(self._hostname)


@dataclass
class Host:
    """`address` is what the others reach it by."""

    name: str
    number: int
    folder: Path
    namespace: Namespace
    switch: Namespace
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def address(self) -> str:
        return _address(self.number)

    def start(
        self, name: str, command: Sequence[str], environment: Mapping[str, str]
    ) -> subprocess.Popen[bytes]:
        """In a session of its own; its output goes to a log in the host's folder."""
        with self.namespace.entered(), (self.folder / f"{name}.log").open("ab") as output:
            process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                start_new_session=True,
                preexec_fn=kill_with_parent,
            )
        self.processes.append(process)
        return process

    def cut(self) -> None:
        """Its end stays up; the other one is no longer the switch's, which drops what comes."""
        with self.switch.entered(), IPRoute() as switch:
            switch.link("set", index=_index(switch, f"port{self.number}"), master=0)

    def heal(self) -> None:
        with self.switch.entered(), IPRoute() as switch:
            port, bridge = _index(switch, f"port{self.number}"), _index(switch, "bridge")
            switch.link("set", index=port, master=bridge)

    def pids(self, part: str = "") -> list[int]:
        """Those whose command line has this part."""
        return [pid for pid in self.namespace.pids() if part in _command_line(pid)]

    def kill(self) -> None:
        """Everything that runs here, at once, as far as that goes."""
        until = time.monotonic() + 10
        while pids := self.namespace.pids():
            assert time.monotonic() < until, f"{self.name} still runs {pids}"
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)
        for process in self.processes:
            process.wait()
        self.processes.clear()

    def logs(self, size: int = 1500) -> str:
        return "\n".join(
            f"== {self.name} {path.name}\n{path.read_text(errors='replace')[-size:]}"
            for path in sorted(self.folder.rglob("*.log"))
        )


class Network:
    """The switch, which has an address and a place for the test itself."""

    def __init__(self, folder: Path) -> None:
        self.hosts: dict[str, Host] = {}
        self._folder = folder
        self._switch = Namespace("switch")
        with self._switch.entered(), IPRoute() as switch:
            switch.link("set", index=LOOPBACK, state="up")
            switch.link("add", ifname="bridge", kind="bridge", address=_hardware_address(0))
            bridge = _index(switch, "bridge")
            switch.addr("add", index=bridge, address=_address(0), prefixlen=24)
            switch.link("set", index=bridge, state="up")
        self.entered = self._switch.entered

    def add(self, name: str) -> Host:
        number = len(self.hosts) + 1
        folder = self._folder / name
        folder.mkdir()
        host = Host(name, number, folder, Namespace(name), self._switch)
        self._plug_in(host)
        self.hosts[name] = host
        return host

    def _plug_in(self, host: Host) -> None:
        plug = {
            "ifname": "uplink",
            "net_ns_fd": host.namespace.descriptor,
            "address": _hardware_address(host.number),
        }
        with self._switch.entered(), IPRoute() as switch:
            switch.link("add", ifname=f"port{host.number}", kind="veth", peer=plug)
            port, bridge = _index(switch, f"port{host.number}"), _index(switch, "bridge")
            switch.link("set", index=port, master=bridge, state="up")
            _resolve(switch, bridge, host.number)
        with host.namespace.entered(), IPRoute() as inside:
            uplink = _index(inside, "uplink")
            inside.addr("add", index=uplink, address=host.address, prefixlen=24)
            inside.link("set", index=uplink, state="up")
            inside.link("set", index=LOOPBACK, state="up")
            for other in (0, *(each.number for each in self.hosts.values())):
                _resolve(inside, uplink, other)
        for other_host in self.hosts.values():
            with other_host.namespace.entered(), IPRoute() as inside:
                _resolve(inside, _index(inside, "uplink"), host.number)

    def close(self) -> None:
        for host in self.hosts.values():
            host.kill()
            host.namespace.close()
        self._switch.close()


@contextmanager
def network(folder: Path) -> Iterator[Network]:
    made = Network(folder)
    try:
        yield made
    finally:
        made.close()


def _address(number: int) -> str:
    return f"{SUBNET}.{number or 254}"


def _hardware_address(number: int) -> str:
    return f"02:00:00:00:00:{number:02x}"


def _resolve(inside: IPRoute, interface: int, number: int) -> None:
    """For ever: a cut link would else be noticed soon, since nobody answers who has an address."""
    inside.neigh(
        "add",
        dst=_address(number),
        lladdr=_hardware_address(number),
        ifindex=interface,
        state="permanent",
    )


def _index(inside: IPRoute, name: str) -> int:
    index: int = inside.link_lookup(ifname=name)[0]
    return index


def _network_of(pid: int) -> int | None:
    with suppress(OSError):  # it has ended, or is about to
        return Path(f"/proc/{pid}/ns/net").stat().st_ino
    return None


def _command_line(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return ""


def _own_namespaces() -> tuple[int, int]:
    """Those of this thread, which need not be those of the process."""
    opened = partial(os.open, flags=os.O_RDONLY | os.O_CLOEXEC)
    return opened("/proc/thread-self/ns/net"), opened("/proc/thread-self/ns/uts")


@contextmanager
def _returning() -> Iterator[None]:
    before = _own_namespaces()
    try:
        yield
    finally:
        for descriptor, kind in zip(before, (CLONE_NEWNET, CLONE_NEWUTS), strict=True):
            _call("setns", descriptor, kind)
            os.close(descriptor)


def _call(name: str, *arguments: int) -> None:
    if getattr(_libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
