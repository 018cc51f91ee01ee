"""What is certain before Spark starts ends a build before Spark starts."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from headrace.errors import LakeError
from headrace.prepare import prepare
from headrace.prepare import run as prepare_run
from headrace.progress import Progress
from tests.tiny import tiny_recipe, visits, write_tiny_lake


class SparkStartedError(Exception):
    """Raised where Spark would be started."""


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    def start(*_: Any, **__: Any) -> Any:
        raise SparkStartedError

    monkeypatch.setattr(prepare_run, "spark_session", start)
    write_tiny_lake(tmp_path / "lake")
    return tmp_path


def build(folder: Path, *overrides: str) -> list[str]:
    """Build the tiny dataset; return what was reported before Spark was started."""
    said: list[str] = []

    def report(progress: Progress) -> None:
        said.append(progress.text)

    with pytest.raises(SparkStartedError):
        prepare(tiny_recipe(folder, *overrides), workdir=str(folder), report=report)
    return said


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("features.amout={kind: standardize}", "features.amout: table 'visits': column 'amout'"),
        ("label.expression=latte or day > 3", "label.expression: reads 'latte'"),
        ("source.joins.0.columns={size: sise}", "table 'shops': column 'sise' is missing"),
        ("source.tables.shops.path=${workdir}/nowhere", "there is nothing at"),
    ],
)
@pytest.mark.parametrize("catalog", [[], ["dataset.catalog_table=ml.tiny"]], ids=["", "catalog"])
def test_a_certain_mistake(lake: Path, override: str, said: str, catalog: list[str]) -> None:
    with pytest.raises(LakeError) as caught:
        build(lake, override, *catalog)
    assert said in str(caught.value)
    assert not (lake / "dataset").exists()


def test_a_column_of_partitions_that_spark_would_select(lake: Path) -> None:
    (lake / "lake" / "visits" / "part-0.parquet").unlink()
    (lake / "lake" / "visits" / "month=1").mkdir()
    pq.write_table(visits(), lake / "lake" / "visits" / "month=1" / "a.parquet")
    condition = "source.tables.visits.partitions=month > 0"
    assert "suspected" not in " ".join(build(lake, condition))
    with pytest.raises(LakeError, match="column 'amout' is missing"):
        build(lake, condition, "features.amout={kind: standardize}")
    with pytest.raises(LakeError, match="partitions: reads 'mnth'"):
        build(lake, "source.tables.visits.partitions=mnth > 0")


def test_a_suspicion_is_said_before_spark_starts(lake: Path) -> None:
    said = build(lake, 'clean.rules=[{kind: expr, expression: "amount >> > 3"}]')
    (suspicion,) = (text for text in said if text.startswith("suspected: "))
    assert "clean.rules.0.expression: 'amount >> > 3' may be no SQL" in suspicion
