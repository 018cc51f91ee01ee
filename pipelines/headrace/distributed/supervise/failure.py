"""Which of several dead ranks is the cause, and what to say of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from headrace import errors
from headrace.distributed.supervise.worker import Worker, named
from headrace.errors import HeadraceError, RankError


@dataclass(frozen=True)
class Failure:
    """Of a rank.

    Attributes:
        what: which rank, and what happened to it.
        more: what it said.
        kind: of its own error, which is then said in its own words.
    """

    what: str
    more: str = ""
    kind: type[HeadraceError] | None = None

    def __str__(self) -> str:
        return f"{self.what}; all ranks were ended.{self.more}"

    def error(self) -> HeadraceError:
        """To be raised, where all ranks are ended."""
        if self.kind is not None:
            try:
                return self.kind(self.what)
            except TypeError:  # it is not made from a text
                pass
        return RankError(str(self))


def failed_by_itself(worker: Worker) -> bool:
    """Whether it would fail again."""
    error = worker.error()
    return error is not None and not error["lost_a_peer"]


def first_failure(
    dead: Sequence[Worker], members: Sequence[Worker], late: Callable[[], str]
) -> Failure:
    """Of the rank that died without a word, or else of the one that failed first.

    Args:
        dead: at least one.
        members: all ranks, these among them.
        late: who the others wait for, in words.
    """
    size = len(members)
    told = {}
    for worker in dead:
        error = worker.error()
        if error is None:
            said = "\n".join(worker.tail[-20:])
            more = f" Its last lines:\n{said}" if said else ""
            return Failure(f"{named(worker)} of {size} {worker.how()}", more)
        told[worker] = error
    # A rank that lost its peer fails too, a moment later and with Horovod's words.
    first = min(told, key=lambda w: (told[w]["lost_a_peer"], told[w]["time"]))
    error, where = told[first], f"{named(first)} of {size}"
    if error["lost_a_peer"] and any(worker.code() is None for worker in members):
        return Failure(f"{where} lost its peers ({error['message']}): {late()}")
    kind = getattr(errors, error["type"], None)
    if isinstance(kind, type) and issubclass(kind, HeadraceError):
        return Failure(f"{where}: {error['message']}", kind=kind)
    what = f"{where} failed with {error['type']}: {error['message']}"
    return Failure(what, f" Its traceback:\n{error['traceback']}")
