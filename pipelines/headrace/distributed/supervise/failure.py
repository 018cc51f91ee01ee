"""Decide which of several dead ranks is the cause of a failure, and describe it.

A rank that dies takes its peers along, each with an error of Horovod's own; only the first one is
worth reading.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from headrace import errors
from headrace.distributed.supervise.worker import Worker, describe_worker
from headrace.errors import HeadraceError, RankError, RecipeError


@dataclass(frozen=True)
class Failure:
    """The failure of one rank, in words.

    Attributes:
        summary: which rank, and what happened to it.
        details: its traceback or the end of its log; empty if there is neither.
        error_class: of the rank's own error, if its text is meant for the user as it is.
    """

    summary: str
    details: str = ""
    error_class: type[HeadraceError] | None = None

    def __str__(self) -> str:
        return f"{self.summary}; all ranks were terminated.{self.details}"

    def build_error(self) -> HeadraceError:
        """Return the exception to raise once all ranks are terminated."""
        if self.error_class is RecipeError:
            return RecipeError.restore(self.summary)
        if self.error_class is not None:
            try:
                return self.error_class(self.summary)
            except TypeError:  # its constructor takes something else than a text
                pass
        return RankError(str(self))


def has_own_error(worker: Worker) -> bool:
    """Return whether a rank failed for a reason of its own, which would make it fail again."""
    error = worker.read_error()
    return error is not None and not error["lost_a_peer"]


def find_first_failure(
    dead: Sequence[Worker], members: Sequence[Worker], describe_late_ranks: Callable[[], str]
) -> Failure:
    """Return the failure of a rank that died without leaving an error, else of the earliest one.

    Args:
        dead: the ranks that exited with an error or were killed; at least one.
        members: all ranks of the generation, the dead ones among them.
        describe_late_ranks: returns which rank the others wait for, in words.
    """
    size = len(members)
    records = []
    for worker in dead:
        record = worker.read_error()
        if record is None:
            log = "\n".join(worker.log_tail[-20:])
            details = f"\nIts last lines:\n{log}" if log else ""
            return Failure(f"{describe_worker(worker)} of {size} {worker.describe_exit()}", details)
        records.append((worker, record))
    # A rank that lost its peer fails too, a moment later and with an error of Horovod's.
    first, error = min(records, key=lambda pair: (pair[1]["lost_a_peer"], pair[1]["time"]))
    rank = f"{describe_worker(first)} of {size}"
    if error["lost_a_peer"] and any(worker.poll_exit_code() is None for worker in members):
        return Failure(f"{rank} lost its peers ({error['message']}): {describe_late_ranks()}")
    error_class = getattr(errors, error["type"], None)
    if isinstance(error_class, type) and issubclass(error_class, HeadraceError):
        return Failure(f"{rank}: {error['message']}", error_class=error_class)
    summary = f"{rank} failed with {error['type']}: {error['message']}"
    return Failure(summary, f"\nIts traceback:\n{error['traceback']}")
