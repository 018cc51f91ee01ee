"""Tell errors that follow from the loss of another rank from a rank's own errors."""

import traceback

# Phrases of Horovod and Gloo; TensorFlow passes them on in an UnknownError.
_PHRASES = ("Horovod has been shut down", "HorovodInternalError", "/gloo/", "ncclSystemError")


def is_peer_loss(error: BaseException) -> bool:
    """Return whether an error, or one that caused it, says that Horovod lost a peer."""
    text = "".join(traceback.format_exception(error))
    return any(phrase in text for phrase in _PHRASES)
