"""Extras of the package: the lists agree with pyproject.toml, and what is missing is named."""

import importlib.util
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from itertools import chain
from pathlib import Path

import pytest

from headrace import extras
from headrace.extras import (
    EXTRAS,
    Extra,
    ExtraError,
    find_horovod_obstacle,
    list_missing_modules,
    require_extras,
)

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
OPTIONAL = PROJECT["project"]["optional-dependencies"]
# Extras that nothing asks for by name: what they add is used by libraries that are there already.
UNASKED = {"gpu", "connect"}


def name_of(requirement: str) -> str:
    return re.match(r"[A-Za-z0-9_.-]+", requirement)[0].lower().replace("_", "-")


def test_every_extra_of_the_package_has_its_modules_here() -> None:
    assert set(EXTRAS) == set(OPTIONAL) - UNASKED
    distributions = packages_distributions()
    # What one machine has not got is told by name.
    names = {"gcsfs": ["gcsfs"], "adlfs": ["adlfs"]}
    for extra in EXTRAS.values():
        if extra.name == "horovod":
            continue  # its requirements are those of a Horovod that is compiled apart
        listed = {name_of(requirement) for requirement in OPTIONAL[extra.name]}
        for module in extra.modules:
            brought_by = {name_of(n) for n in distributions.get(module, names.get(module, []))}
            assert brought_by & listed, (extra.name, module)
        # Whether Petastorm is needed is said by the recipe.
        assert len(extra.modules) == len(listed - {"petastorm"})


def test_horovod_is_no_requirement_that_pip_would_build() -> None:
    everything = [*PROJECT["project"]["dependencies"], *chain(*OPTIONAL.values())]
    assert "horovod" not in {name_of(r) for r in everything if not r.startswith("headrace[")}
    assert "horovod==0.28.1" in PROJECT["dependency-groups"]["all"]


def test_what_is_missing_is_said_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = Extra("gpu", "matrices", ("json", "no_such_module", "nor_this"))
    monkeypatch.setitem(EXTRAS, "gpu", gpu)
    assert list_missing_modules(gpu) == ["no_such_module", "nor_this"]
    with pytest.raises(ExtraError) as raised:
        require_extras(["gpu"])
    assert str(raised.value) == (
        "the extra gpu is not installed (no no_such_module, nor_this), which is for matrices; "
        "run: pip install 'headrace[gpu]'"
    )
    assert raised.value.exit_code == 2


def test_what_is_there_is_not_imported() -> None:
    monitored = Extra("x", "x", ("this",))
    assert "this" not in sys.modules
    assert list_missing_modules(monitored) == []
    assert "this" not in sys.modules


def test_a_horovod_without_tensorflow_is_told_from_one_with_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    spec = importlib.util.spec_from_loader("horovod", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path / "horovod")]
    monkeypatch.setattr(extras.importlib.util, "find_spec", lambda name: spec)
    (tmp_path / "horovod/tensorflow").mkdir(parents=True)
    assert find_horovod_obstacle().endswith("horovod was built without TensorFlow")
    with pytest.raises(ExtraError, match=r"without TensorFlow.*&& headrace install-horovod$"):
        require_extras(["horovod"])
    (tmp_path / "horovod/tensorflow/mpi_lib.cpython-311-x86_64-linux-gnu.so").touch()
    assert find_horovod_obstacle() == ""
    monkeypatch.setattr(extras.importlib.util, "find_spec", lambda name: None)
    assert find_horovod_obstacle() == "Horovod is not installed"
