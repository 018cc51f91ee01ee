"""Write the lakes that are measured, once below the working folder, for use in every run."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.examples.folder import MANIFEST, ensure_lake
from headrace.examples.synthetic import ensure_synthetic_lake
from headrace.progress import ignore_progress
from headrace.recipe.sections import Spark
from headrace.spark_session import spark_session, stop_own_session

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

HOT, UNIQUE = "hot", "unique"
"""Columns of the skewed lake: one value in 90% of rows, and (about) one value per row."""
_SEED, _DAYS = 0, 12


def ensure_clicks_lake(workdir: str, rows: int) -> str:
    """Ensure that the lake of `headrace lake synthetic --rows ROWS` exists; return its folder."""
    out = f"{workdir}/lakes/clicks-{rows}"

    def write_lake(spark: "SparkSession") -> None:
        ensure_synthetic_lake(spark, out, rows=rows, seed=_SEED, days=_DAYS, report=ignore_progress)

    return _ensure_lake(out, workdir, write_lake)


def ensure_skewed_lake(workdir: str, rows: int) -> str:
    """Ensure that the same rows exist with the columns `hot` and `unique`; return their folder."""
    plain, out = ensure_clicks_lake(workdir, rows), f"{workdir}/lakes/skewed-{rows}"

    def write_lake(spark: "SparkSession") -> None:
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

        def write_clicks(folder: Path) -> dict[str, Any]:
            skewed.write.partitionBy("day").parquet(str(folder / "clicks"))
            return {"rows": {"clicks": rows}}

        ensure_lake(out, {"lake": "skewed", "rows": rows}, write_clicks)

    return _ensure_lake(out, workdir, write_lake)


def warm_page_cache(lake: str) -> None:
    """Read the lake's files into the page cache, so that no contender reads them cold."""
    for path in sorted(Path(lake).rglob("*.parquet")):
        with path.open("rb") as file:
            while file.read(16 << 20):
                pass


def _ensure_lake(out: str, workdir: str, write_lake: "Callable[[SparkSession], None]") -> str:
    if not Path(out, MANIFEST).exists():
        spark = spark_session(Spark(), app_name="benchmark lake", scratch=f"{workdir}/spark")
        try:
            write_lake(spark)
        finally:
            stop_own_session()
    return out
