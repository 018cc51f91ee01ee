"""The route to another machine, of which the loopback interface is one."""

import pytest

from headrace.distributed import addresses
from headrace.distributed.addresses import find_interface, find_local_address
from headrace.errors import RankError


def test_the_route_to_this_machine_is_the_loopback_interface(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert find_local_address("127.0.0.1") == "127.0.0.1"
    assert find_interface("127.0.0.1") == "lo"
    monkeypatch.setattr(addresses.psutil, "net_if_addrs", dict)
    with pytest.raises(RankError, match=r"no network interface has the address 127\.0\.0\.1"):
        find_interface("127.0.0.1")
