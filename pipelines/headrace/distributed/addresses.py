"""Find the address and the network interface by which this machine reaches another one."""

import socket

import psutil

from headrace.errors import RankError


def find_interface(peer: str) -> str:
    """Return the name of the network interface through which this machine reaches a peer.

    Raises:
        RankError: no interface has the address that the operating system would use.
    """
    local_address = find_local_address(peer)
    for name, addresses in psutil.net_if_addrs().items():
        if any(address.address == local_address for address in addresses):
            return str(name)
    raise RankError(f"no network interface has the address {local_address}")


def find_local_address(peer: str) -> str:
    """Return this machine's address on the route to a peer, a name or an IPv4 address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((peer, 9))
        return str(probe.getsockname()[0])
