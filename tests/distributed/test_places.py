"""Who is where: places of ranks on hosts, and ranks that somebody else started."""

from pathlib import Path

import pytest

from headrace.distributed.launchers.external import LaunchedRank, launched_rank
from headrace.distributed.rank_folder import RankFolder
from headrace.distributed.slot import places
from headrace.errors import MachineError


def test_local_and_cross_ranks_are_counted_by_host() -> None:
    found = places(["a", "b", "a", "c", "a", "b"], address="10.0.0.1", port=7)
    assert [(p.local_rank, p.local_size) for p in found] == [
        (0, 3), (0, 2), (1, 3), (0, 1), (2, 3), (1, 2),
    ]  # fmt: skip
    # first ranks of a, b and c; second ones of a and b; the third one of a
    assert [(p.cross_rank, p.cross_size) for p in found] == [
        (0, 3), (1, 3), (0, 2), (2, 3), (0, 1), (1, 2),
    ]  # fmt: skip
    assert found[4].environment()["HOROVOD_LOCAL_RANK"] == "2"
    assert found[4].environment()["HOROVOD_GLOO_RENDEZVOUS_PORT"] == "7"


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"RANK": "0", "WORLD_SIZE": "1"}, None),
        (
            {"RANK": "1", "WORLD_SIZE": "4", "MASTER_ADDR": "n0", "MASTER_PORT": "5"},
            LaunchedRank(1, 4, "n0", 5),
        ),
        (
            {
                "OMPI_COMM_WORLD_RANK": "3",
                "OMPI_COMM_WORLD_SIZE": "4",
                "OMPI_COMM_WORLD_LOCAL_SIZE": "4",
            },
            LaunchedRank(3, 4, "127.0.0.1", 29461),
        ),
        ({"PMI_RANK": "0", "PMI_SIZE": "2", "MASTER_ADDR": "x"}, LaunchedRank(0, 2, "x", 29461)),
    ],
)
def test_what_the_environment_says(
    environment: dict[str, str], expected: LaunchedRank | None
) -> None:
    assert launched_rank(environment) == expected


def test_ranks_on_several_hosts_have_to_know_where_the_first_is() -> None:
    with pytest.raises(MachineError, match="set MASTER_ADDR"):
        launched_rank({"OMPI_COMM_WORLD_RANK": "3", "OMPI_COMM_WORLD_SIZE": "8"})


def test_a_rank_takes_the_newest_place(tmp_path: Path) -> None:
    folder = RankFolder(tmp_path)
    assert folder.place(0) is None
    for generation in (0, 2):
        (place,) = places(["a"], generation=generation, address="x", port=1, facts={"n": 1})
        folder.assign(place)
    assert folder.place(0) == folder.place(2) == place  # one that comes late is not asked twice
    assert folder.place(3) is None
    folder.ask_change(2)
    assert folder.change_asked() == 2
