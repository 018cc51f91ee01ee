"""The lakes that are measured: written once below the working folder and used again."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.examples.folder import MANIFEST, write_once
from headrace.examples.synthetic import write_synthetic_lake
from headrace.progress import silent
from headrace.recipe.sections import Spark
from headrace.spark_session import spark_session, stop_own_session

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

HOT, UNIQUE = "hot", "unique"
"""Columns of the skewed lake: one value in 90% of rows, and (about) one value a row."""
_SEED, _DAYS = 0, 12


def clicks_lake(workdir: str, rows: int) -> str:
    """The folder of `headrace lake synthetic --rows ROWS`."""
    out = f"{workdir}/lakes/clicks-{rows}"

    def write(spark: "SparkSession") -> None:
        write_synthetic_lake(spark, out, rows=rows, seed=_SEED, days=_DAYS, report=silent)

    return _made(out, workdir, write)


def skewed_lake(workdir: str, rows: int) -> str:
    """The same rows with the columns `hot` and `unique` added."""
    plain, out = clicks_lake(workdir, rows), f"{workdir}/lakes/skewed-{rows}"

    def write(spark: "SparkSession") -> None:
        import pyspark.sql.functions as F

        bits = F.xxhash64(F.lit("skew"), "event_id")
        skewed = spark.read.parquet(f"{plain}/clicks").withColumns(
            {
                HOT: F.when(F.pmod(bits, F.lit(10)) < 9, "hot").otherwise(
                    F.hex(F.pmod(bits, F.lit(1000)))
                ),
                UNIQUE: F.hex(bits),
            }
        )

        def into(folder: Path) -> dict[str, Any]:
            skewed.write.partitionBy("day").parquet(str(folder / "clicks"))
            return {"rows": {"clicks": rows}}

        write_once(out, {"lake": "skewed", "rows": rows}, into)

    return _made(out, workdir, write)


def read_once(lake: str) -> None:
    """Bring the lake's files into the page cache, so that no contender reads them cold."""
    for path in sorted(Path(lake).rglob("*.parquet")):
        with path.open("rb") as file:
            while file.read(16 << 20):
                pass


def _made(out: str, workdir: str, write: "Callable[[SparkSession], None]") -> str:
    if not Path(out, MANIFEST).exists():
        spark = spark_session(Spark(), app_name="benchmark lake", scratch=f"{workdir}/spark")
        try:
            write(spark)
        finally:
            stop_own_session()
    return out
