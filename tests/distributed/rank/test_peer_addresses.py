"""Ranks meet at a real exchange: what each of them learns, and whom it waits for in vain."""

import threading
from dataclasses import replace

import pytest

from headrace.distributed.rank.peer_addresses import exchange_words
from headrace.distributed.rank.peer_loss import PeerLossError
from headrace.distributed.supervise.address_exchange import AddressExchange
from tests.distributed.fakes import FakeClock

pytestmark = pytest.mark.usefixtures("quick_servers")


def test_every_rank_learns_the_words_of_all() -> None:
    exchange = AddressExchange("127.0.0.1", ["a", "a", "b"], 0, {})
    learnt: dict[int, list[str]] = {}

    def meet(rank: int) -> None:
        learnt[rank] = exchange_words(exchange.slots[rank], "address", f"host:{rank}", 10)

    threads = [threading.Thread(target=meet, args=(rank,)) for rank in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    exchange.close()
    assert [learnt[rank] for rank in range(3)] == [["host:0", "host:1", "host:2"]] * 3


def test_who_does_not_come_is_named() -> None:
    exchange = AddressExchange("127.0.0.1", ["a", "a", "a"], 0, {})
    clock = FakeClock()
    try:
        with pytest.raises(PeerLossError, match="rank 0, 2 of 3 did not come within 30 s"):
            exchange_words(exchange.slots[1], "address", "x", 30, clock, clock.sleep)
    finally:
        exchange.close()
    assert clock.now == pytest.approx(30, abs=0.1)


def test_a_generation_that_is_over_is_a_loss_of_peers() -> None:
    exchange = AddressExchange("127.0.0.1", ["a", "a"], 0, {})
    stranger = replace(exchange.slots[0], secret="0" * 32)
    with pytest.raises(PeerLossError, match=r"no longer meet at .*it answers 403"):
        exchange_words(stranger, "address", "x", 30)
    exchange.close()
    with pytest.raises(PeerLossError, match=r"no longer meet at .*refused"):
        exchange_words(exchange.slots[0], "address", "x", 30)
