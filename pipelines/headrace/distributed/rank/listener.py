"""Keep strangers away from a port that a library listens on without asking who connects.

TensorFlow's server listens on all addresses of the machine, and whoever reaches it may run any
graph as this user. The kernel drops connections before the library sees them: a filter on the
listening socket, which any process may set on a socket of its own.
"""

import ctypes
import ipaddress
import os
import socket
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

from headrace.errors import RankError

_SO_ATTACH_FILTER = 26
# Of the classic packet filter: load bytes of the packet, compare, jump, return.
_LOAD_BYTE, _LOAD_WORD, _SHIFT_RIGHT, _IF_EQUAL, _RETURN = 0x30, 0x20, 0x74, 0x15, 0x06
_NETWORK_HEADER = 0xFFF00000  # SKF_NET_OFF: offsets from here are those of the IP header
_SOURCE = _NETWORK_HEADER + 12
_ALL_BYTES = 0xFFFFFFFF


class Listener:
    """The sockets of this process that listen on one port."""

    def __init__(self, port: int) -> None:
        """
        Args:
            port: of a server that has started.

        Raises:
            RankError: nothing of this process listens there.
        """
        self._sockets = list(_find_listening_sockets(port))
        if not self._sockets:
            raise RankError(f"no socket of this process listens on port {port}, so none is guarded")

    def admit_only(self, addresses: Iterable[str]) -> None:
        """Drop from now on what comes from other IPv4 addresses than these."""
        self._set_filter(_build_source_filter(sorted(set(addresses))))

    def admit_nobody(self) -> None:
        """Drop new connections from now on; those that are open stay so."""
        self._set_filter([(_RETURN, 0, 0, 0)])

    def _set_filter(self, instructions: list[tuple[int, int, int, int]]) -> None:
        code = b"".join(struct.pack("HBBI", *instruction) for instruction in instructions)
        memory = ctypes.create_string_buffer(code, len(code))
        program = struct.pack("HP", len(instructions), ctypes.addressof(memory))
        for listening in self._sockets:
            listening.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)


def _build_source_filter(addresses: list[str]) -> list[tuple[int, int, int, int]]:
    """Build a filter that passes IPv4 packets of these sources; an instruction is code, jump if
    true, jump if false, operand."""
    filter_ = [
        (_LOAD_BYTE | 0x00, 0, 0, _NETWORK_HEADER),
        (_SHIFT_RIGHT, 0, 0, 4),
        (_IF_EQUAL, 1, 0, 4),  # the version
        (_RETURN, 0, 0, 0),
        (_LOAD_WORD, 0, 0, _SOURCE),
    ]
    for address in addresses:
        number = int(ipaddress.IPv4Address(address))
        filter_ += [(_IF_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ALL_BYTES)]
    return [*filter_, (_RETURN, 0, 0, 0)]


def _find_listening_sockets(port: int) -> Iterator[socket.socket]:
    for entry in Path("/proc/self/fd").iterdir():
        try:
            candidate = socket.socket(fileno=os.dup(int(entry.name)))
        except OSError:  # it is closed by now, or no socket
            continue
        try:
            is_listening = candidate.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
            is_it = is_listening and candidate.getsockname()[1] == port
        except (OSError, IndexError):
            is_it = False
        if is_it:
            yield candidate
        else:
            candidate.close()
