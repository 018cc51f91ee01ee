"""Prepare the click log with Polars in memory, in one process, as a Polars user would write it.

Polars' own hash splits the rows, so the rows of a split are not those of the Spark contenders. Rows
keep the lake's order.
"""

from pathlib import Path

import polars as pl

from benchmarks.rivals.clicks import SPLITS
from headrace.examples.synthetic import CATEGORICAL, NUMERIC, TEXT_NUMERIC


def prepare_clicks(lake: str, out: str) -> None:
    """Read, clean, split, fit on train, transform, and write one Parquet file per split."""
    rows = _scan_clicks(lake).collect()
    train = rows.lazy().filter(pl.col("split") == "train")
    moments, *counts = pl.collect_all(
        [_compute_moments(train), *(_count_values(train, c) for c in CATEGORICAL)]
    )
    fitted = moments.row(0, named=True)
    ready = rows.select(
        "row_id",
        *(_scale_column(name, fitted[f"{name}.mean"], fitted[f"{name}.std"]) for name in NUMERIC),
        *(_look_up_ids(name, count[name]) for name, count in zip(CATEGORICAL, counts, strict=True)),
        "label",
        "split",
    )
    for split in SPLITS:
        folder = Path(out, f"split={split}")
        folder.mkdir(parents=True)
        ready.filter(pl.col("split") == split).drop("split").write_parquet(
            folder / "part-0.parquet"
        )


def _scan_clicks(lake: str) -> pl.LazyFrame:
    number = {name: pl.col(name).cast(pl.Float64, strict=False) for name in TEXT_NUMERIC}
    casts = [pl.col(name).is_null() | cast.is_not_null() for name, cast in number.items()]
    point = pl.col("event_id").cast(pl.String).hash(0) % 1_000_000
    return (
        pl.scan_parquet(f"{lake}/clicks/**/*.parquet", hive_partitioning=False)
        .filter(pl.all_horizontal(casts))
        # `unique` on 41 columns took 6 s of CPU longer than this at 1 million rows.
        .filter(pl.col("event_id").is_first_distinct())
        .select(
            pl.col("event_id").hash(1).reinterpret(signed=True).alias("row_id"),
            *(number.get(name, pl.col(name)) for name in NUMERIC),
            *CATEGORICAL,
            (pl.col("label") == 1).cast(pl.Float32).alias("label"),
            pl.when(point < 800_000)
            .then(pl.lit("train"))
            .when(point < 900_000)
            .then(pl.lit("validation"))
            .otherwise(pl.lit("test"))
            .alias("split"),
        )
    )


def _compute_moments(train: pl.LazyFrame) -> pl.LazyFrame:
    means = [pl.col(name).mean().alias(f"{name}.mean") for name in NUMERIC]
    return train.select(*means, *(pl.col(n).std(ddof=0).alias(f"{n}.std") for n in NUMERIC))


def _count_values(train: pl.LazyFrame, name: str) -> pl.LazyFrame:
    counted = train.select(name).drop_nulls().group_by(name).len()
    return counted.sort(["len", name], descending=[True, False])


def _scale_column(name: str, mean: float, std: float) -> pl.Expr:
    return ((pl.col(name) - mean) / std).fill_null(0.0).cast(pl.Float32)


def _look_up_ids(name: str, vocabulary: pl.Series) -> pl.Expr:
    # 26 left joins took twice as long.
    ids = pl.int_range(2, len(vocabulary) + 2, dtype=pl.Int32, eager=True)
    known_or_unknown = pl.col(name).replace_strict(
        vocabulary, ids, default=1, return_dtype=pl.Int32
    )
    return (
        pl.when(pl.col(name).is_null())
        .then(0)
        .otherwise(known_or_unknown)
        .cast(pl.Int32)
        .alias(name)
    )
