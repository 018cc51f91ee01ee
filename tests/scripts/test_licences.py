"""Which packages an installation brings, and the licence of each: pages are up to date."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest

from tests.e2e.running import ROOT
from tests.scripts.loading import load_script

licences = load_script("licences")


def test_extras_are_followed_and_what_is_not_asked_for_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = [
        "a",
        'b; extra == "train"',
        'headrace[train]; extra == "more"',
        'z; python_version < "3"',
    ]
    monkeypatch.setattr(licences, "requirements_of", lambda name: own)
    requires = {"a": ["c[fast]"], "b": [], "c": ['d; extra == "fast"', 'e; extra == "slow"'],
                "d": ["a"], "e": [], "z": [], "headrace": []}  # fmt: skip
    installed = {name: SimpleNamespace(requires=of) for name, of in requires.items()}
    collect: Callable[..., set[str]] = licences.collect_requirements
    assert collect(installed, ()) == {"a", "c", "d"}
    assert collect(installed, ("train",)) == {"a", "b", "c", "d"}
    assert collect(installed, ("more",)) == {"a", "b", "c", "d"}


def test_base_brings_nothing_that_trains() -> None:
    base = licences.collect_requirements(licences.list_installed(), ())
    assert {"pyspark", "pyarrow", "deltalake", "scikit-learn"} <= base
    assert not base & {"tensorflow", "keras", "mlflow", "petastorm", "horovod", "matplotlib"}


def test_the_page_names_every_package_of_the_locked_environment() -> None:
    page = (ROOT / "docs/licences.md").read_text()
    installed = licences.list_installed()
    for name in licences.collect_requirements(installed, licences.ALL_EXTRAS) | {"horovod"}:
        metadata = installed[name].metadata
        assert f"| {metadata['Name']} |" in page, f"{metadata['Name']}: run make licences"
