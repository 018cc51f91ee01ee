"""Who may connect to a port, by real sockets: 127.0.0.1 and 127.0.0.2 are both this machine."""

import socket
from collections.abc import Iterator

import pytest

from headrace.distributed.rank.listener import Listener
from headrace.errors import RankError


@pytest.fixture
def server() -> Iterator[socket.socket]:
    """A server that listens on all addresses, as TensorFlow's does."""
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as server:
        yield server


def connect(server: socket.socket, source: str, *, to: str = "127.0.0.1") -> socket.socket | None:
    """Connect from an address; None where nothing answers."""
    port = server.getsockname()[1]
    try:
        return socket.create_connection((to, port), timeout=0.3, source_address=(source, 0))
    except TimeoutError:
        return None


def test_only_the_addresses_that_are_named_are_admitted(server: socket.socket) -> None:
    for source in ("127.0.0.1", "127.0.0.2", "127.0.0.3"):
        assert connect(server, source)
    Listener(server.getsockname()[1]).admit_only(["127.0.0.3", "127.0.0.1", "127.0.0.1"])
    assert connect(server, "127.0.0.1")
    assert connect(server, "127.0.0.3")
    assert connect(server, "127.0.0.2") is None
    assert connect(server, "::1", to="::1") is None


def test_a_connection_stays_open_when_nobody_else_is_admitted(server: socket.socket) -> None:
    listener = Listener(server.getsockname()[1])
    listener.admit_only(["127.0.0.1"])
    client = connect(server, "127.0.0.1")
    assert client
    accepted, _ = server.accept()
    listener.admit_nobody()
    assert connect(server, "127.0.0.1") is None
    client.sendall(b"still here")
    assert accepted.recv(100) == b"still here"


def test_a_port_that_nothing_here_listens_on_is_an_error(server: socket.socket) -> None:
    port = server.getsockname()[1]
    server.close()
    with pytest.raises(RankError, match=f"listens on port {port}"):
        Listener(port)
