"""Hosts with a network of their own: Linux network namespaces, joined by a bridge in another one.

Nothing of it is seen outside, and all of it is removed.
"""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import psutil

_NETWORK = "10.203.77"


@dataclass(frozen=True)
class Place:
    """Where processes run.

    Attributes:
        name: of the host.
        address: that others reach it by.
        prefix: words before a command that is to run there.
    """

    name: str
    address: str
    prefix: tuple[str, ...] = ()

    def command(self, words: list[str]) -> list[str]:
        return [*self.prefix, *words]


HERE = Place("localhost", "127.0.0.1")


def why_not() -> str:
    """Why there can be no namespaces here; empty where there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    missing = [tool for tool in ("ip", "unshare") if not shutil.which(tool)]
    if missing:
        return f"{' and '.join(missing)} not installed (iproute2, util-linux)"
    probe = f"headrace-probe-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", probe], capture_output=True, check=False)
    if made.returncode:
        return f"no network namespaces here: {made.stderr.decode().strip()}"
    _ip("netns", "delete", probe)
    return ""


class Hosts:
    """As many hosts as there are letters; `hosts.a` is the first one's place."""

    def __init__(self, letters: str = "abc") -> None:
        self._letters = letters
        self._tag = f"hr{os.getpid() % 100000}"
        self._switch = f"{self._tag}-switch"
        self.places: dict[str, Place] = {}

    def __enter__(self) -> "Hosts":
        _ip("netns", "add", self._switch)
        self._in_switch("link", "add", "bridge", "type", "bridge")
        self._in_switch("link", "set", "bridge", "up")
        try:
            for number, letter in enumerate(self._letters, start=1):
                self._add(letter, f"{_NETWORK}.{number}")
        except BaseException:
            self._remove()
            raise
        names = "".join(f"{p.address} {p.name}\n" for p in self.places.values())
        for place in self.places.values():
            folder = Path("/etc/netns") / place.name
            folder.mkdir(parents=True)
            (folder / "hosts").write_text(f"127.0.0.1 localhost\n{names}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._remove()

    def __getitem__(self, letter: str) -> Place:
        return self.places[letter]

    def cut(self, letter: str) -> None:
        """Pull the cable of a host."""
        self._in_switch("link", "set", f"port-{letter}", "down")

    def mend(self, letter: str) -> None:
        self._in_switch("link", "set", f"port-{letter}", "up")

    def processes(self) -> list[psutil.Process]:
        """All that run on any host."""
        found = []
        for place in self.places.values():
            told = subprocess.run(
                ["ip", "netns", "pids", place.name], capture_output=True, text=True, check=True
            )
            for pid in told.stdout.split():
                try:
                    found.append(psutil.Process(int(pid)))
                except psutil.NoSuchProcess:
                    continue
        return found

    def _add(self, letter: str, address: str) -> None:
        name = f"{self._tag}-{letter}"
        _ip("netns", "add", name)
        # The host's name is its own as well: Horovod resolves it to find the address.
        named = ("unshare", "--uts", "sh", "-c", f'hostname {name} && exec "$@"', "sh")
        self.places[letter] = Place(name, address, ("ip", "netns", "exec", name, *named))
        self._in_switch(
            "link", "add", f"port-{letter}", "type", "veth", "peer", "name", "eth0", "netns", name
        )
        self._in_switch("link", "set", f"port-{letter}", "master", "bridge")
        self._in_switch("link", "set", f"port-{letter}", "up")
        for words in (
            ("link", "set", "lo", "up"),
            ("address", "add", f"{address}/24", "dev", "eth0"),
            ("link", "set", "eth0", "up"),
        ):
            _ip("-n", name, *words)

    def _in_switch(self, *words: str) -> None:
        _ip("-n", self._switch, *words)

    def _remove(self) -> None:
        for process in self.processes():
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        for name in [*(p.name for p in self.places.values()), self._switch]:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)
            shutil.rmtree(Path("/etc/netns") / name, ignore_errors=True)


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"
