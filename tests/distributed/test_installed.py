"""Who needs Horovod, and what it is told where there is none."""

import importlib.util

import pytest

from headrace.distributed import run_ranks as module
from headrace.distributed.installed import check_collectives
from headrace.distributed.run_ranks import run_ranks
from headrace.distributed.task import RankTask
from headrace.extras import ExtraError
from headrace.progress import ignore_progress

FIX = "set train.collectives: tensorflow, or train.ranks: 1"


@pytest.fixture
def no_horovod(monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "horovod" else find_spec(name)
    )


@pytest.mark.usefixtures("no_horovod")
def test_only_several_ranks_need_horovod() -> None:
    check_collectives("horovod", 1)
    check_collectives("tensorflow", 8)
    with pytest.raises(ExtraError, match="2 ranks are to communicate by Horovod") as caught:
        check_collectives("horovod", 2)
    assert str(caught.value).endswith(FIX)
    assert "\n" not in str(caught.value)


def test_installed_it_is_taken() -> None:
    check_collectives("horovod", 2)


@pytest.mark.usefixtures("no_horovod")
def test_no_rank_is_started_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where an elastic run would have several ranks later."""
    monkeypatch.setattr(module, "LocalLauncher", None)
    for ranks, sizes in ((2, []), (1, [1, 2])):
        with pytest.raises(ExtraError, match=FIX):
            run_ranks(RankTask("a:b", {}, sizes=sizes), ranks, ignore_progress)
