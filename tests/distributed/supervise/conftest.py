"""Shared by the tests of the supervisor: a run of fake ranks."""

import pytest

from headrace.distributed.supervise import supervisor as supervisor_module
from tests.distributed.supervise.supervised_run import FakeRendezvous, Run


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(supervisor_module, "open_rendezvous", FakeRendezvous)
    monkeypatch.setattr(FakeRendezvous, "opened", [])
    return Run()
