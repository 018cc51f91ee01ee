"""Which rendezvous a generation gets, and what is imported for it."""

import subprocess
import sys

import pytest

from headrace.distributed.supervise.address_exchange import AddressExchange
from headrace.distributed.supervise.horovod_rendezvous import HorovodRendezvous
from headrace.distributed.supervise.rendezvous import SoloRendezvous, open_rendezvous

pytestmark = pytest.mark.usefixtures("quick_servers")


@pytest.mark.parametrize(
    ("collectives", "hosts", "kind"),
    [
        ("horovod", ["a"], SoloRendezvous),
        ("tensorflow", ["a"], SoloRendezvous),
        ("horovod", ["a", "b"], HorovodRendezvous),
        ("tensorflow", ["a", "b"], AddressExchange),
    ],
)
def test_ranks_meet_where_their_collectives_do(
    collectives: str, hosts: list[str], kind: type
) -> None:
    rendezvous = open_rendezvous(collectives, "127.0.0.1", hosts, 4, {"n": 1})
    rendezvous.close()
    assert type(rendezvous) is kind
    assert [(slot.host, slot.generation, slot.facts) for slot in rendezvous.slots] == [
        (host, 4, {"n": 1}) for host in hosts
    ]


def test_the_supervisor_imports_no_horovod() -> None:
    code = (
        "import sys, headrace.distributed.run_ranks; "
        "from headrace.distributed.supervise.rendezvous import open_rendezvous as o; "
        "o('horovod', '127.0.0.1', ['a'], 0, {}); o('tensorflow', '127.0.0.1', ['a'] * 2, 0, {}); "
        "print([m for m in sys.modules if m.partition('.')[0] == 'horovod'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
