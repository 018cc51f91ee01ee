"""Shared by the tests of distributed runs: servers that close at once."""

import socketserver
from functools import partialmethod

import pytest


@pytest.fixture
def quick_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let servers of the standard library notice `shutdown` in milliseconds, not in 0.5 s."""
    serve_forever = partialmethod(socketserver.BaseServer.serve_forever, poll_interval=0.002)
    monkeypatch.setattr(socketserver.BaseServer, "serve_forever", serve_forever)
