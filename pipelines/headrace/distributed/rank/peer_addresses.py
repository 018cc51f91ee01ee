"""Meet the other ranks of a generation at the supervisor's `AddressExchange`."""

import http.client
import json
import time
from collections.abc import Callable

from headrace.distributed.rank.peer_loss import PeerLossError
from headrace.distributed.slot import Slot

# Seconds from one request of a rank to its next: of all ranks together 512 a second come, each of
# which is answered by the words of all of them.
_SHORTEST_INTERVAL, _REQUESTS_PER_SECOND = 0.05, 512
_REQUEST_SECONDS = 10


def exchange_words(
    slot: Slot,
    topic: str,
    word: str,
    timeout: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> list[str]:
    """Say a word to all ranks of the generation, and wait for the words of all of them.

    Args:
        slot: of this rank.
        topic: what the words are about; every rank says one word on it.
        word: of this rank, ASCII.
        timeout: seconds to wait.
        clock: returns seconds since any fixed moment.
        sleep: waits for a number of seconds.

    Returns:
        the words, by rank.

    Raises:
        PeerLossError: a rank did not say its word in time, or the generation is over.
    """
    deadline = clock() + timeout
    while True:
        try:
            words = _say_word(slot, topic, word)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise PeerLossError(
                f"the ranks of this generation no longer meet at {slot.address}:{slot.port} "
                f"({error})"
            ) from None
        missing = [rank for rank, word_of_rank in enumerate(words) if word_of_rank is None]
        if not missing:
            return [str(word_of_rank) for word_of_rank in words]
        if clock() > deadline:
            ranks = ", ".join(map(str, missing))
            raise PeerLossError(f"rank {ranks} of {slot.size} did not come within {timeout:g} s")
        sleep(max(_SHORTEST_INTERVAL, slot.size / _REQUESTS_PER_SECOND))


def _say_word(slot: Slot, topic: str, word: str) -> list[str | None]:
    connection = http.client.HTTPConnection(slot.address, slot.port, timeout=_REQUEST_SECONDS)
    try:
        connection.request("POST", f"/{slot.secret}/{topic}/{slot.rank}", word.encode("ascii"))
        response = connection.getresponse()
        content = response.read()
        if response.status != 200:
            raise ValueError(f"it answers {response.status}")
        words: list[str | None] = json.loads(content)
        return words
    finally:
        connection.close()
