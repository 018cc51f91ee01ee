"""The rendezvous of a generation: slots with its address, and Horovod's key-value store."""

import http.client

import pytest

from headrace.distributed.supervise.rendezvous import RendezvousServer

pytestmark = pytest.mark.usefixtures("quick_servers")


def request(port: int, method: str, path: str, body: str | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_slots_say_where_the_server_listens() -> None:
    rendezvous = RendezvousServer("127.0.0.1", ["a", "b", "a"], 2, {"attempt": "x"})
    try:
        assert [(s.rank, s.host, s.local_rank) for s in rendezvous.slots] == [
            (0, "a", 0), (1, "b", 0), (2, "a", 1),
        ]  # fmt: skip
        assert {(s.generation, s.address) for s in rendezvous.slots} == {(2, "127.0.0.1")}
        assert all(s.facts == {"attempt": "x"} for s in rendezvous.slots)
        port = rendezvous.slots[0].port
        assert request(port, "PUT", "/global/0", "address of rank 0")[0] == 200
        assert request(port, "GET", "/global/0") == (200, b"address of rank 0")
        assert request(port, "GET", "/global/1")[0] == 404
    finally:
        rendezvous.close()
    with pytest.raises(ConnectionRefusedError):
        request(port, "GET", "/global/0")


def test_every_generation_has_a_server_of_its_own() -> None:
    first, second = (RendezvousServer("127.0.0.1", ["a"], generation, {}) for generation in (0, 1))
    try:
        assert first.slots[0].port != second.slots[0].port
        request(first.slots[0].port, "PUT", "/global/0", "old")
        assert request(second.slots[0].port, "GET", "/global/0")[0] == 404
    finally:
        first.close()
        second.close()
