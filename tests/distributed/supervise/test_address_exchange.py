"""The server at which ranks exchange words: what it answers, and to whom."""

import http.client
import json

import pytest

from headrace.distributed.supervise.address_exchange import AddressExchange

pytestmark = pytest.mark.usefixtures("quick_servers")


@pytest.fixture
def exchange():
    exchange = AddressExchange("127.0.0.1", ["a", "b"], 3, {"attempt": "x"})
    yield exchange
    exchange.close()


def post(exchange: AddressExchange, path: str, body: bytes = b"word") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", exchange.slots[0].port, timeout=5)
    try:
        connection.request("POST", path, body)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_words_are_those_of_a_topic_and_stay_as_they_were_said(exchange: AddressExchange) -> None:
    secret = exchange.slots[0].secret
    assert [(s.rank, s.host, s.generation, s.facts) for s in exchange.slots] == [
        (0, "a", 3, {"attempt": "x"}), (1, "b", 3, {"attempt": "x"}),
    ]  # fmt: skip
    status, content = post(exchange, f"/{secret}/address/1", b"b:1")
    assert (status, json.loads(content)) == (200, [None, "b:1"])
    assert json.loads(post(exchange, f"/{secret}/address/1", b"forged")[1]) == [None, "b:1"]
    assert json.loads(post(exchange, f"/{secret}/address/0", b"a:1")[1]) == ["a:1", "b:1"]
    assert json.loads(post(exchange, f"/{secret}/started/0", b"yes")[1]) == ["yes", None]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/{wrong}/address/0", b"x", 403),
        ("/address/0", b"x", 403),
        ("/", b"x", 403),
        ("/{secret}/address/0/1", b"x", 403),
        ("/{secret}/Address/0", b"x", 403),
        ("/{secret}/address/-1", b"x", 403),
        ("/{secret}/address/2", b"x", 400),
        ("/{secret}/address/999999", b"x", 400),
        ("/{secret}/address/0", "é".encode(), 400),
        ("/{secret}/address/0", b"x" * 201, 413),
    ],
)
def test_what_ranks_do_not_send_is_refused(
    exchange: AddressExchange, path: str, body: bytes, status: int
) -> None:
    secret = exchange.slots[0].secret
    assert post(exchange, path.format(secret=secret, wrong="0" * 32), body) == (status, b"")
    assert json.loads(post(exchange, f"/{secret}/address/0", b"mine")[1]) == ["mine", None]


def test_topics_are_few(exchange: AddressExchange) -> None:
    secret = exchange.slots[0].secret
    statuses = [post(exchange, f"/{secret}/topic{letter}/0")[0] for letter in "abcdefghi"]
    assert statuses == [200] * 8 + [400]


def test_a_request_without_a_length_is_refused(
    exchange: AddressExchange, capfd: pytest.CaptureFixture[str]
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", exchange.slots[0].port, timeout=5)
    connection.putrequest("POST", f"/{exchange.slots[0].secret}/address/0")
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()
    assert capfd.readouterr().err == ""
