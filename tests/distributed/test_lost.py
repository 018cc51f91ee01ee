"""Which errors say that another rank is gone; the texts are Horovod's and Gloo's, as seen."""

import pytest

from headrace.distributed.rank.peer_loss import lost_a_peer


@pytest.mark.parametrize(
    "text",
    [
        "Horovod has been shut down. This was caused by an exception on one of the ranks",
        "[/x/third_party/compatible17_gloo/gloo/transport/tcp/pair.cc:589] Read error "
        "[127.0.0.1]:34230: Connection reset by peer",
        "[/x/gloo/transport/tcp/unbound_buffer.cc:81] Timed out waiting 5000ms for recv operation",
    ],
)
def test_the_ranks_are_no_longer_together(text: str) -> None:
    assert lost_a_peer(RuntimeError(text))


def test_any_other_error_is_the_ranks_own() -> None:
    assert not lost_a_peer(ZeroDivisionError("division by zero"))
    assert not lost_a_peer(ConnectionResetError("Connection reset by peer"))  # of a database, say
