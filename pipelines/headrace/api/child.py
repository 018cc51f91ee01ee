"""Run the command line as a child of a notebook's kernel, and end with it.

Without this a kernel that is killed would leave a training behind, which nobody sees.
"""

import contextlib
import signal
import sys

_PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """Have this process get SIGTERM when the thread that started it ends; on Linux alone."""
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)


if __name__ == "__main__":
    end_with_parent()
    from headrace.cli import main

    sys.argv[0] = "headrace"
    main()
