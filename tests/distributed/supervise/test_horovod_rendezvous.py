"""The rendezvous of a generation: slots with its address, and Horovod's key-value store."""

import http.client

import pytest

from headrace.distributed.supervise.horovod_rendezvous import HorovodRendezvous

pytestmark = pytest.mark.usefixtures("quick_servers")


def request(port: int, method: str, path: str, body: str | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def find_path(rendezvous: HorovodRendezvous) -> str:
    """The path that Horovod makes of the environment of a slot."""
    variables = rendezvous.slots[0].to_environment()
    address = variables["HOROVOD_GLOO_RENDEZVOUS_ADDR"]
    return "/" + f"{address}:{variables['HOROVOD_GLOO_RENDEZVOUS_PORT']}".partition("/")[2]


def test_slots_say_where_the_server_listens() -> None:
    rendezvous = HorovodRendezvous("127.0.0.1", ["a", "b", "a"], 2, {"attempt": "x"})
    try:
        assert [(s.rank, s.host, s.local_rank) for s in rendezvous.slots] == [
            (0, "a", 0), (1, "b", 0), (2, "a", 1),
        ]  # fmt: skip
        assert {(s.generation, s.address) for s in rendezvous.slots} == {(2, "127.0.0.1")}
        assert all(s.facts == {"attempt": "x"} for s in rendezvous.slots)
        port, path = rendezvous.slots[0].port, find_path(rendezvous)
        assert request(port, "PUT", f"{path}/global/0", "address of rank 0")[0] == 200
        assert request(port, "GET", f"{path}/global/0") == (200, b"address of rank 0")
        assert request(port, "GET", f"{path}/global/1")[0] == 404
    finally:
        rendezvous.close()
    with pytest.raises(ConnectionRefusedError):
        request(port, "GET", "/global/0")


def test_every_generation_has_a_server_of_its_own() -> None:
    first, second = (HorovodRendezvous("127.0.0.1", ["a"], generation, {}) for generation in (0, 1))
    try:
        assert first.slots[0].port != second.slots[0].port
        assert find_path(first) != find_path(second)
        request(first.slots[0].port, "PUT", f"{find_path(first)}/global/0", "old")
        found = request(second.slots[0].port, "GET", f"{find_path(second)}/global/0")
        assert found[0] == 404
    finally:
        first.close()
        second.close()


@pytest.mark.parametrize(
    "path",
    ["/global/0", "/wrong/global/0", "//global/0", "/", "/global/0/x", "*", "/:1/global/0"],
)
@pytest.mark.parametrize("method", ["PUT", "GET", "DELETE"])
def test_who_does_not_know_the_word_is_refused(method: str, path: str) -> None:
    rendezvous = HorovodRendezvous("127.0.0.1", ["a", "b"], 0, {})
    try:
        port, own = rendezvous.slots[0].port, find_path(rendezvous)
        request(port, "PUT", f"{own}/global/0", "address of rank 0")
        assert request(port, method, path, "forged")[0] == 403
        assert request(port, "GET", f"{own}/global/0") == (200, b"address of rank 0")
    finally:
        rendezvous.close()


@pytest.mark.parametrize(
    ("rest", "length", "status"),
    [
        ("/global/0", "-1", 413),
        ("/global/0", "many", 413),
        ("/global/0", str(2**21), 413),
        ("/global/0", "9" * 20, 413),
        ("/global/0", "0" * 9 + "9999999", 413),
        ("/global", "0", 400),
        ("/global/0/1", "0", 400),
    ],
)
def test_requests_that_horovod_does_not_send(
    rest: str, length: str, status: int, capfd: pytest.CaptureFixture[str]
) -> None:
    rendezvous = HorovodRendezvous("127.0.0.1", ["a", "b"], 0, {})
    try:
        connection = http.client.HTTPConnection("127.0.0.1", rendezvous.slots[0].port, timeout=5)
        connection.putrequest("PUT", f"{find_path(rendezvous)}{rest}")
        connection.putheader("Content-Length", length)
        connection.endheaders()
        assert connection.getresponse().status == status
        connection.close()
    finally:
        rendezvous.close()
    assert capfd.readouterr().err == ""
