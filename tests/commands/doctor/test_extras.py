"""The doctor's list of extras: what is installed, and what is not and how it would be."""

from pathlib import Path

import pytest

from headrace import extras as package_extras
from headrace.commands.doctor.extras import check_extras
from headrace.commands.doctor.finding import State
from headrace.extras import EXTRAS, Extra
from tests.commands.doctor.findings import find_finding


def test_what_is_installed_and_what_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EXTRAS, "x", Extra("x", "some matter", ("json", "no_such_module")))
    findings = check_extras()
    assert len(findings) == len(EXTRAS)
    train = find_finding(findings, "headrace[train]")
    assert (train.state, train.fix) == (State.OK, "")
    assert train.what.startswith("installed: train, tune, evaluate")
    absent = find_finding(findings, "headrace[x]")
    assert absent.state is State.OK  # nobody has to train, or to use that store
    assert absent.what == "not installed (no_such_module): no some matter"
    assert absent.fix == "where it is needed: pip install 'headrace[x]'"


def test_a_horovod_without_tensorflow_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    spec = package_extras.importlib.util.spec_from_loader("horovod", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(package_extras.importlib.util, "find_spec", lambda name: spec)
    finding = find_finding(check_extras(), "headrace[horovod]")
    assert finding.state is State.FAIL
    assert finding.what.endswith("was built without TensorFlow")
    assert finding.fix == "run: headrace install-horovod"
