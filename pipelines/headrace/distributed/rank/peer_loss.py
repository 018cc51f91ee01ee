"""Tell errors that follow from the loss of another rank from a rank's own errors."""

import traceback

# Phrases of Horovod and Gloo, and the name of our own error; TensorFlow passes them on as the text
# of an UnknownError.
_PHRASES = (
    "Horovod has been shut down",
    "HorovodInternalError",
    "/gloo/",
    "ncclSystemError",
    "PeerLossError",
)


class PeerLossError(Exception):
    """A collective that cannot be completed because another rank is gone, frozen or cut off."""


def is_peer_loss(error: BaseException) -> bool:
    """Return whether an error, or one that caused it, says that another rank was lost."""
    return bool(find_peer_loss(error))


def find_peer_loss(error: BaseException) -> str:
    """Return the last line of an error and its causes that says so; "" if none does."""
    lines = "".join(traceback.format_exception(error)).splitlines()
    telling = [
        line.strip()
        for line in lines
        if any(phrase in line for phrase in _PHRASES) and "raise " not in line  # the source
    ]
    return telling[-1] if telling else ""
