"""Which errors say that another rank is gone; the texts are Horovod's and Gloo's, as observed."""

import pytest

from headrace.distributed.rank.peer_loss import PeerLossError, find_peer_loss, is_peer_loss


@pytest.mark.parametrize(
    "text",
    [
        "Horovod has been shut down. This was caused by an exception on one of the ranks",
        "[/x/third_party/compatible17_gloo/gloo/transport/tcp/pair.cc:589] Read error "
        "[127.0.0.1]:34230: Connection reset by peer",
        "[/x/gloo/transport/tcp/unbound_buffer.cc:81] Timed out waiting 5000ms for recv operation",
        "NCCL error: ncclSystemError: System call (e.g. socket, malloc) failed",
    ],
)
def test_these_errors_are_the_loss_of_a_peer(text: str) -> None:
    assert is_peer_loss(RuntimeError(text))


def test_the_cause_of_an_error_counts() -> None:
    error = RuntimeError("the step failed")
    error.__cause__ = RuntimeError("Horovod has been shut down")
    assert is_peer_loss(error)


def test_any_other_error_is_the_ranks_own() -> None:
    assert not is_peer_loss(ZeroDivisionError("division by zero"))
    assert not is_peer_loss(ConnectionResetError("Connection reset by peer"))  # of a database, say


def test_the_line_that_says_so_is_found_among_those_of_a_graph() -> None:
    """The last one that is no line of a program."""
    line = "PeerLossError: rank 0 of 2 lost a peer: Connection reset"
    text = f"Graph execution error:\n\n    raise PeerLossError(text)\n{line}\n\t [[node]]"
    assert find_peer_loss(RuntimeError(text)) == line
    assert find_peer_loss(ValueError("x")) == ""
    try:
        raise PeerLossError("rank 1 did not come")
    except PeerLossError as error:
        assert find_peer_loss(error).endswith("PeerLossError: rank 1 did not come")
