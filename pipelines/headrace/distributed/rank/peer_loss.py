"""Whether an error says that another rank is gone."""

import traceback

# What Horovod and Gloo say; TensorFlow gives it on as an UnknownError.
_WORDS = ("Horovod has been shut down", "HorovodInternalError", "/gloo/", "ncclSystemError")


def lost_a_peer(error: BaseException) -> bool:
    """Whether it, or what it came from, is Horovod's word that the ranks are no longer together."""
    text = "".join(traceback.format_exception(error))
    return any(words in text for words in _WORDS)
