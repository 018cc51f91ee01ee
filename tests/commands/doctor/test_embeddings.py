"""The doctor predicts what tables take, from a dataset that is there."""

from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from headrace.commands.doctor.embeddings import check_embeddings
from headrace.commands.doctor.finding import State
from headrace.features.hash import HashFeature
from headrace.train import preflight
from headrace.transform.spec import RawColumn, TransformSpec
from tests.tiny import tiny_recipe

SPEC = TransformSpec(
    raw=(RawColumn(name="w", kind="string", nullable=True),),
    derived=(),
    features=(HashFeature(name="w", columns=("w",), buckets=2_000_000),),
)


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dataset whose transform has a column of two million ids."""
    monkeypatch.setattr("headrace.lake.version.DatasetVersion.open", lambda root: root)
    monkeypatch.setattr(preflight, "load_published_spec", lambda dataset: SPEC)


def test_without_a_dataset_nothing_is_predicted(tmp_path: Path) -> None:
    assert check_embeddings(tiny_recipe(tmp_path)) == []


@pytest.mark.usefixtures("published")
def test_a_large_table_that_is_updated_as_a_whole_is_warned_of(tmp_path: Path) -> None:
    adam = tiny_recipe(tmp_path, "train.optimizer={kind: adam}", "train.ranks=2")
    (finding,) = check_embeddings(adam)
    assert finding.state is State.WARN
    assert "2,000,001 rows of 16, 122.1 MiB and 244.1 MiB of moments" in finding.what
    assert "adam moves every row in every step" in finding.what
    assert "train.optimizer.sparse: lazy" in finding.fix
    lazy = tiny_recipe(tmp_path, "train.optimizer={kind: adam, sparse: lazy}", "train.ranks=2")
    (finding,) = check_embeddings(lazy)
    assert finding.state is State.OK
    assert "updated by row; a rank sends at most" in finding.what


@pytest.mark.usefixtures("published")
def test_too_little_memory_is_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = tiny_recipe(tmp_path, "train.optimizer={kind: rowwise_adagrad}", "train.ranks=2")
    for free, states in ((2**30, [State.OK]), (2**28, [State.OK, State.WARN])):
        memory = SimpleNamespace(available=free)
        monkeypatch.setattr(psutil, "virtual_memory", lambda memory=memory: memory)
        findings = check_embeddings(recipe)
        assert [finding.state for finding in findings] == states
    # 2 ranks, 17 numbers of 4 bytes for each of 2,000,001 rows
    assert "2 ranks take 0.3 GiB, and 0.2 GiB are free" in findings[1].what
