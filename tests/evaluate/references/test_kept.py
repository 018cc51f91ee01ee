"""References are kept beside a dataset version, and never taken for those of another."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from headrace.evaluate.references import kept
from headrace.evaluate.references.compute import References, compute_references
from headrace.evaluate.references.kept import find_references
from headrace.labels.spec import LabelSpec
from headrace.lake import DatasetVersion
from headrace.recipe import sections as s
from tests.evaluate.references.tables import cut, make_spec, publish_table

SPEC = make_spec(LabelSpec(kind="classes", classes=("a", "b", "c")), 2)
SETTINGS = s.Evaluate(bootstrap=5)


@pytest.fixture
def dataset(tmp_path: Path) -> DatasetVersion:
    random = np.random.default_rng(3)
    numeric = random.normal(size=(300, 2))
    table = {"numeric": numeric, "label": (numeric[:, 0] > 0).astype(np.int32) + 1}
    return publish_table(tmp_path / "d", SPEC, cut(table, 0.6, 0.2))


def list_kept(dataset: DatasetVersion) -> list[Path]:
    return sorted(Path(dataset.root).glob("_headrace/first/references/*"))


def assert_equal(one: References, other: References) -> None:
    np.testing.assert_array_equal(one.constant, other.constant)
    assert one.tree is not None and other.tree is not None
    for split in ("test", "validation"):
        np.testing.assert_array_equal(one.tree[split], other.tree[split])
    assert (one.left_out, one.row_digests) == (other.left_out, other.row_digests)


def test_the_second_model_finds_them(
    dataset: DatasetVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = find_references(dataset, SPEC, SETTINGS)
    monkeypatch.setattr(kept, "compute_references", None)  # is not called
    second = find_references(dataset, SPEC, SETTINGS)
    assert_equal(first, second)
    assert (first.facts["kept"], second.facts["kept"]) == (False, True)
    assert (first.notes, second.notes) == ([], [])
    assert len(list_kept(dataset)) == 1


@pytest.mark.parametrize(
    "changed",
    [{"reference_rows": 50}, {"weighted": True}, {"references": ["constant"]}],
    ids=lambda changed: next(iter(changed)),
)
def test_other_settings_have_references_of_their_own(
    dataset: DatasetVersion, changed: dict
) -> None:
    find_references(dataset, SPEC, SETTINGS)
    other = find_references(dataset, SPEC, SETTINGS.model_copy(update=changed))
    assert other.facts["kept"] is False
    assert len(list_kept(dataset)) == 2


def test_what_concerns_the_model_alone_does_not(dataset: DatasetVersion) -> None:
    find_references(dataset, SPEC, SETTINGS)
    changed = {"metric": "log_loss", "bootstrap": 9, "threshold": 0.4, "gates": []}
    assert find_references(dataset, SPEC, SETTINGS.model_copy(update=changed)).facts["kept"]


def test_a_damaged_file_is_replaced(dataset: DatasetVersion) -> None:
    """Any byte may have changed: either it does not matter, or they are computed again."""
    whole = find_references(dataset, SPEC, SETTINGS)
    (path,) = list_kept(dataset)
    content = path.read_bytes()
    random = np.random.default_rng(5)
    replaced = 0
    for cut_at in (0, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:cut_at])
        found = find_references(dataset, SPEC, SETTINGS)
        assert_equal(found, whole)
        assert "could not be used" in found.notes[0]
    for position in random.integers(0, len(content), 12).tolist():
        path.write_bytes(
            content[:position] + bytes([content[position] ^ 0xFF]) + content[position + 1 :]
        )
        found = find_references(dataset, SPEC, SETTINGS)
        assert_equal(found, whole)
        replaced += bool(found.notes)
    assert replaced > 4


def test_where_they_cannot_be_kept_that_is_said(
    dataset: DatasetVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(root: str, path: str, content: bytes) -> None:
        raise PermissionError(13, "Permission denied", f"{root}/{path}")

    monkeypatch.setattr(kept, "replace_object", refuse)
    for _ in range(2):
        found = find_references(dataset, SPEC, SETTINGS)
        assert "were not kept, so they are computed again" in found.notes[0]
    assert list_kept(dataset) == []


def test_two_at_once_write_one_whole_file(dataset: DatasetVersion) -> None:
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: find_references(dataset, SPEC, SETTINGS), range(4)))
    alone = compute_references(dataset, SPEC, SETTINGS)
    for references in found:
        assert_equal(references, alone)
    assert len(list_kept(dataset)) == 1
    assert find_references(dataset, SPEC, SETTINGS).facts["kept"]


def test_a_file_names_no_row(dataset: DatasetVersion) -> None:
    import pyarrow.parquet as pq

    find_references(dataset, SPEC, SETTINGS)
    assert pq.read_table(list_kept(dataset)[0]).column_names == ["prediction"]
