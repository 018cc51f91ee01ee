"""Every benchmark can be imported, and says how it is used."""

import pkgutil
import subprocess
import sys
from importlib import import_module

import pytest

import benchmarks

MODULES = sorted(
    module.name for module in pkgutil.walk_packages(benchmarks.__path__, "benchmarks.")
)


def test_every_module_is_imported() -> None:
    assert "benchmarks.rivals.polars_memory" in MODULES
    for name in MODULES:
        assert import_module(name).__doc__, name


@pytest.mark.parametrize("name", ["digests", "prepare"])
def test_a_command_says_how_it_is_used(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", "--help"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "--workdir" in done.stdout
