"""Servers take hundreds of clients that connect at once, before any of them is accepted."""

import contextlib
import socket
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from headrace.distributed.supervise.horovod_rendezvous import _GuardedHandler, _QuietServer
from headrace.distributed.supervise.many_clients import ManyClientsServer


@pytest.mark.parametrize(
    ("server_class", "arguments"),
    [(ManyClientsServer, (BaseHTTPRequestHandler,)), (_QuietServer, (_GuardedHandler, 0))],
)
def test_clients_that_are_not_accepted_yet_are_connected(server_class: Any, arguments: Any) -> None:
    """Of the standard library's five, the seventh client waits until one is accepted."""
    with contextlib.ExitStack() as stack:
        server = server_class(("127.0.0.1", 0), *arguments)
        stack.callback(server.server_close)
        address = server.server_address[:2]
        connections = [
            stack.enter_context(socket.create_connection(address, timeout=5)) for _ in range(300)
        ]
        assert {connection.getpeername() for connection in connections} == {address}
