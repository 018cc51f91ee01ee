"""Publish tables that are in memory as dataset versions, without Spark."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.features.scaled import ScaledFeature
from headrace.features.vocabulary import VocabularyFeature
from headrace.labels.spec import LabelSpec
from headrace.lake import DataFile, DatasetVersion, Ledger, publish_build
from headrace.lake.build import Build
from headrace.lake.transform_file import compute_transform_digest
from headrace.transform.spec import RawColumn, TransformSpec

Split = Mapping[str, np.ndarray]
"""`numeric` (rows, columns), `ids` (rows, columns), `label`, and perhaps further columns."""


def make_spec(label: LabelSpec, numbers: int, cardinalities: tuple[int, ...] = ()) -> TransformSpec:
    """Return a transform of numbers n0, n1, … and of vocabularies c0, c1, …"""
    scaled = [ScaledFeature(name=f"n{i}", column=f"n{i}") for i in range(numbers)]
    ids = [
        VocabularyFeature(name=f"c{i}", column=f"c{i}", values=tuple(f"v{v}" for v in range(n - 2)))
        for i, n in enumerate(cardinalities)
    ]
    raw = [RawColumn(name=f.name, kind="real", nullable=True) for f in scaled]
    raw += [RawColumn(name=f.name, kind="string", nullable=True) for f in ids]
    return TransformSpec(raw=tuple(raw), derived=(), features=(*scaled, *ids), label=label)


def publish_table(
    root: Path, spec: TransformSpec, splits: Mapping[str, Split], rows_per_group: int = 40
) -> DatasetVersion:
    """Publish splits as the first version of a dataset; row ids fall from row to row."""
    files, transform, schema = [], spec.to_json(), None
    for split, rows in splits.items():
        table = _make_table(rows)
        schema = table.schema
        folder = root / f"split={split}"
        folder.mkdir(parents=True)
        path = folder / "part-first-00000-0.parquet"
        pq.write_table(table, path, row_group_size=rows_per_group, write_page_checksum=True)
        metadata = pq.ParquetFile(path).metadata
        groups = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
        files.append(
            DataFile(
                path=f"split={split}/{path.name}",
                split=split,  # type: ignore[arg-type]
                bytes=path.stat().st_size,
                row_groups=tuple(groups),
                content=f"{split} of {rows['label'].sum()}",
            )
        )
    counts = {file.split: file.rows for file in files}
    build = Build(
        build_id="first",
        created_at="2026-01-01T00:00:00+00:00",
        headrace_version="0",
        recipe={"name": "by_hand"},
        sources={},
        ledger=Ledger(
            read=sum(counts.values()), published=counts, quarantined={}, duplicates=0, filtered={}
        ),
        files=tuple(files),
        label_kind=spec.label.kind,
        transform_digest=compute_transform_digest(transform),
    )
    publish_build(str(root), build, schema, transform)
    return DatasetVersion.open(str(root))


def _make_table(rows: Split) -> pa.Table:
    count = len(rows["label"])
    columns: dict[str, pa.Array] = {"row_id": pa.array(np.arange(count)[::-1].astype(np.int64))}
    for key, dtype in (("numeric", np.float32), ("ids", np.int32)):
        for i in range(rows[key].shape[1] if key in rows else 0):
            columns[f"{key[0] if key == 'numeric' else 'c'}{i}"] = pa.array(
                np.ascontiguousarray(rows[key][:, i].astype(dtype))
            )
    label = rows["label"]
    if label.ndim == 2:
        flat = pa.array(label.reshape(-1).astype(np.float32))
        ends = np.arange(0, label.size + 1, label.shape[1]).astype(np.int32)
        columns["label"] = pa.ListArray.from_arrays(ends, flat)
    else:
        dtype = np.int32 if label.dtype.kind == "i" else np.float32
        columns["label"] = pa.array(label.astype(dtype))
    for name in ("sample_weight", "baseline"):
        if name in rows:
            columns[name] = pa.array(rows[name].astype(np.float32))
    return pa.table(columns)


def as_test_rows(split: Split, **outputs: np.ndarray) -> dict[str, np.ndarray]:
    """Return rows as `predict_rows` does: by row id, which is against the order of the table."""
    dtype = np.int32 if split["label"].dtype.kind == "i" else np.float32
    rows = {"row_id": np.arange(len(split["label"])), "label": split["label"][::-1].astype(dtype)}
    return rows | {name: array[::-1] for name, array in outputs.items()}


def cut(rows: Split, *shares: float) -> dict[str, Split]:
    """Cut a table into train, validation and test by a permutation."""
    count = len(rows["label"])
    order = np.random.default_rng(11).permutation(count)
    ends = (np.cumsum(shares) * count).astype(int).tolist()
    parts = zip([0, *ends], [*ends, count], strict=True)
    names = ("train", "validation", "test")
    return {
        name: {key: array[np.sort(order[a:b])] for key, array in rows.items()}
        for name, (a, b) in zip(names, parts, strict=True)
    }
