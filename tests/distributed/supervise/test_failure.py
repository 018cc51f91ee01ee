"""Which of several dead ranks is the cause, and the error that the run fails with."""

import pytest

from headrace.distributed.supervise.failure import Failure, find_first_failure, has_own_error
from headrace.errors import Problem, RecipeError, StreamError
from tests.distributed.fakes import FakeWorker


def describe_late() -> str:
    return "rank 0 of 2 is stopped (SIGSTOP)"


@pytest.fixture
def members() -> list[FakeWorker]:
    return [FakeWorker(rank=0), FakeWorker(rank=1)]


def test_a_rank_that_died_without_an_error_is_the_cause(members: list[FakeWorker]) -> None:
    """The other rank's error, though earlier, is a consequence or an accident beside a kill."""
    members[0].fail("bad", time=1.0)
    members[1].exit(7)
    members[1].log_tail = [f"line {n}" for n in range(30)]
    failure = find_first_failure(members, members, describe_late)
    assert failure.summary == "rank 1 of 2 exited with 7"
    assert failure.details == "\nIts last lines:\n" + "\n".join(f"line {n}" for n in range(10, 30))
    assert str(failure).startswith("rank 1 of 2 exited with 7; all ranks were terminated.\nIts")


def test_a_silent_rank_has_no_last_lines(members: list[FakeWorker]) -> None:
    members[1].exit(7)
    failure = find_first_failure([members[1]], members, describe_late)
    assert str(failure) == "rank 1 of 2 exited with 7; all ranks were terminated."


def test_of_several_errors_the_earliest_is_the_cause(members: list[FakeWorker]) -> None:
    members[0].fail("second", time=2.0)
    members[1].fail("first", time=1.0)
    failure = find_first_failure(members, members, describe_late)
    assert failure.summary == "rank 1 of 2 failed with ValueError: first"
    assert failure.details == "\nIts traceback:\nin f"


def test_an_own_error_goes_before_an_earlier_loss_of_a_peer(members: list[FakeWorker]) -> None:
    members[0].fail("Horovod has been shut down", time=1.0, lost_a_peer=True)
    members[1].fail("bad", time=2.0)
    failure = find_first_failure(members, members, describe_late)
    assert failure.summary == "rank 1 of 2 failed with ValueError: bad"


def test_a_lost_peer_is_explained_by_the_ranks_that_still_run(members: list[FakeWorker]) -> None:
    members[1].fail("Timed out", time=1.0, lost_a_peer=True)
    failure = find_first_failure([members[1]], members, describe_late)
    assert failure.summary == (
        "rank 1 of 2 lost its peers (Timed out): rank 0 of 2 is stopped (SIGSTOP)"
    )


def test_a_lost_peer_without_a_running_rank_is_an_error_like_others(
    members: list[FakeWorker],
) -> None:
    for time, worker in enumerate(members):
        worker.fail("Timed out", time=time, lost_a_peer=True)
    failure = find_first_failure(members, members, describe_late)
    assert failure.summary == "rank 0 of 2 failed with ValueError: Timed out"


def test_a_headrace_error_is_raised_again_with_its_class(members: list[FakeWorker]) -> None:
    members[1].fail("row group 3 cannot be read", time=1.0)
    assert members[1].error is not None
    members[1].error["type"] = "StreamError"
    error = find_first_failure([members[1]], members, describe_late).build_error()
    assert type(error) is StreamError
    assert str(error) == "rank 1 of 2: row group 3 cannot be read"


def test_names_in_the_module_of_errors_that_are_none_do_not_count(
    members: list[FakeWorker],
) -> None:
    members[1].fail("bad", time=1.0)
    assert members[1].error is not None
    members[1].error["type"] = Problem.__name__
    failure = find_first_failure([members[1]], members, describe_late)
    assert failure.error_class is None
    assert failure.summary == "rank 1 of 2 failed with Problem: bad"


def test_a_recipe_that_a_rank_refuses_is_an_error_of_the_recipe() -> None:
    """Of which a scheduler does not try again: exit code 2."""
    error = Failure("rank 0 of 1: 1 problem in recipe x", error_class=RecipeError).build_error()
    assert type(error) is RecipeError
    assert (str(error), error.exit_code) == ("rank 0 of 1: 1 problem in recipe x", 2)


def test_an_own_error_would_come_again(members: list[FakeWorker]) -> None:
    assert not has_own_error(members[0])
    members[0].fail("bad", time=1.0, lost_a_peer=True)
    assert not has_own_error(members[0])
    members[0].fail("bad", time=1.0)
    assert has_own_error(members[0])
