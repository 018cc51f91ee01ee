"""Which rank a process is, as each external launcher says it in the environment."""

import pytest

from headrace.distributed.launchers.external_rank import ExternalRank, find_external_rank
from headrace.errors import MachineError


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"RANK": "0"}, None),
        ({"RANK": "0", "WORLD_SIZE": "1"}, None),
        ({"WORLD_SIZE": "4"}, None),
        (
            {"RANK": "1", "WORLD_SIZE": "4", "MASTER_ADDR": "n0", "MASTER_PORT": "5"},
            ExternalRank(1, 4, "n0", 5),
        ),
        (
            {"RANK": "1", "WORLD_SIZE": "4", "MASTER_ADDR": "n0", "MASTER_PORT": ""},
            ExternalRank(1, 4, "n0", 29461),
        ),
        (
            {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"},
            ExternalRank(1, 2, "127.0.0.1", 29461),
        ),
        (
            {
                "OMPI_COMM_WORLD_RANK": "3",
                "OMPI_COMM_WORLD_SIZE": "4",
                "OMPI_COMM_WORLD_LOCAL_SIZE": "4",
            },
            ExternalRank(3, 4, "127.0.0.1", 29461),
        ),
        ({"PMI_RANK": "0", "PMI_SIZE": "2", "MASTER_ADDR": "x"}, ExternalRank(0, 2, "x", 29461)),
        (  # a shell that was itself started by mpirun, with torchrun in it
            {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "n0", "PMI_RANK": "0", "PMI_SIZE": "8"},
            ExternalRank(1, 2, "n0", 29461),
        ),
    ],
)
def test_the_rank_is_read_from_the_environment(
    environment: dict[str, str], expected: ExternalRank | None
) -> None:
    assert find_external_rank(environment) == expected


@pytest.mark.parametrize(
    "environment",
    [
        {"OMPI_COMM_WORLD_RANK": "3", "OMPI_COMM_WORLD_SIZE": "8"},
        {
            "OMPI_COMM_WORLD_RANK": "3",
            "OMPI_COMM_WORLD_SIZE": "8",
            "OMPI_COMM_WORLD_LOCAL_SIZE": "4",
        },
    ],
)
def test_ranks_on_several_hosts_have_to_know_where_rank_0_is(environment: dict[str, str]) -> None:
    with pytest.raises(
        MachineError,
        match=r"OMPI_COMM_WORLD_RANK says that this is one of 8 .*set MASTER_ADDR \(and "
        r"MASTER_PORT, default 29461\)",
    ):
        find_external_rank(environment)
