"""Check that the contenders did the same work: read their files and compare them.

Rows, identities and labels must be equal. Means and standard deviations of the train split must be
near 0 and 1. Vocabularies must be equal where the splits are, and otherwise differ by no more than
those of two random splits of the same rows.
"""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.report import format_table
from headrace.examples.synthetic import CATEGORICAL, NUMERIC

_EXPECTED: dict[str, pa.DataType] = {"row_id": pa.int64(), "label": pa.float32()}
_EXPECTED |= dict.fromkeys(NUMERIC, pa.float32()) | dict.fromkeys(CATEGORICAL, pa.int32())
_SPLITS = ("train", "validation", "test")
_SAME_SPLIT_FUNCTION = ("plain_spark", "spark_ml")
_ROWS_PER_BATCH = 65_536
_MEAN_TOLERANCE, _STD_TOLERANCE = 0.001, 0.05
"""Distance from 0 and from 1 on the train split: float32 sums; nulls replaced by the mean."""
_SIGMAS = 6
_RESERVED = {"spark_ml": 0}
"""Ids before the vocabulary's first one, less those after its last one; 1 for other contenders."""


@dataclass(frozen=True)
class Output:
    """The figures of one contender's files.

    Attributes:
        rows: rows of each split.
        identities: number of distinct row_ids.
        positive: rows with label 1.
        mean: mean of each numeric column, on train.
        std: standard deviation of each numeric column, on train.
        vocabulary: entries of each categorical column, from the largest id on train.
        problems: columns that are missing, have an unexpected type or hold nulls.
    """

    rows: dict[str, int]
    identities: int
    positive: int
    mean: dict[str, float]
    std: dict[str, float]
    vocabulary: dict[str, int]
    problems: tuple[str, ...]

    @property
    def total(self) -> int:
        """Return the number of rows of all splits."""
        return sum(self.rows.values())


def measure_output(contender: str, files: Mapping[str, list[str]]) -> Output:
    """Read a contender's files in batches of rows, and collect their figures."""
    rows: Counter[str] = Counter()
    positive, problems = 0, set()
    ids: list[np.ndarray] = []
    sums, squares = np.zeros(len(NUMERIC)), np.zeros(len(NUMERIC))
    largest = np.zeros(len(CATEGORICAL), np.int64)
    for split in _SPLITS:
        for path in files.get(split, []):
            # Not `read_table`, which would add the folder's name as a column.
            file = pq.ParquetFile(path)
            column_problems = _find_column_problems(file.schema_arrow, split)
            problems.update(column_problems)
            if column_problems:
                continue
            for batch in file.iter_batches(_ROWS_PER_BATCH, columns=[*_EXPECTED]):
                problems.update(
                    f"{name} holds nulls"
                    for name, column in zip(batch.schema.names, batch.columns, strict=True)
                    if column.null_count
                )
                rows[split] += batch.num_rows
                positive += int(np.sum(batch["label"].to_numpy(zero_copy_only=False)))
                ids.append(batch["row_id"].to_numpy(zero_copy_only=False))
                if split == "train" and not problems:
                    numeric = np.stack([batch[n].to_numpy() for n in NUMERIC]).astype(np.float64)
                    sums += numeric.sum(axis=1)
                    squares += (numeric**2).sum(axis=1)
                    batch_largest = [batch[name].to_numpy().max(initial=0) for name in CATEGORICAL]
                    largest = np.maximum(largest, batch_largest)
    train = max(1, rows["train"])
    mean = sums / train
    std = np.sqrt(np.maximum(squares / train - mean**2, 0))
    entries = largest - _RESERVED.get(contender, 1)
    return Output(
        rows={split: rows[split] for split in _SPLITS},
        identities=len(np.unique(np.concatenate(ids))) if ids else 0,
        positive=positive,
        mean=dict(zip(NUMERIC, mean.tolist(), strict=True)),
        std=dict(zip(NUMERIC, std.tolist(), strict=True)),
        vocabulary=dict(zip(CATEGORICAL, entries.tolist(), strict=True)),
        problems=tuple(sorted(problems)),
    )


def find_disagreements(outputs: Mapping[str, Output]) -> list[str]:
    """Find what differs by more than the tolerances; empty if the contenders agree."""
    differences: list[str] = []
    for name, output in outputs.items():
        differences += [f"{name}: {problem}" for problem in output.problems]
        if output.identities != output.total:
            differences.append(f"{name}: {output.total:,} rows, {output.identities:,} row_ids")
        for column in NUMERIC:
            if (
                abs(output.mean[column]) > _MEAN_TOLERANCE
                or abs(output.std[column] - 1) > _STD_TOLERANCE
            ):
                mean, std = output.mean[column], output.std[column]
                differences.append(
                    f"{name}: {column} has mean {mean:.4f}, deviation {std:.4f} on train"
                )
    (first, reference), *others = outputs.items()
    for name, output in others:
        pair = f"{first} and {name}"
        for figure in ("total", "positive"):
            a, b = getattr(reference, figure), getattr(output, figure)
            if a != b:
                differences.append(f"{pair}: {figure} {a:,} and {b:,}")
        same = reference.rows == output.rows
        for split in _SPLITS:
            a, b = reference.rows[split], output.rows[split]
            share = a / max(1, reference.total)
            if abs(a - b) > _SIGMAS * math.sqrt(2 * reference.total * share * (1 - share)):
                differences.append(f"{pair}: {split} has {a:,} and {b:,} rows")
        for column in CATEGORICAL:
            a, b = reference.vocabulary[column], output.vocabulary[column]
            if abs(a - b) > (0 if same else _SIGMAS * math.sqrt(max(a, b))):
                differences.append(f"{pair}: {column} has {a:,} and {b:,} values")
    by_one_function = [outputs[name].rows for name in _SAME_SPLIT_FUNCTION if name in outputs]
    if any(rows != by_one_function[0] for rows in by_one_function):
        names = " and ".join(_SAME_SPLIT_FUNCTION)
        differences.append(f"{names} split differently: {by_one_function}")
    return differences


def format_agreement(outputs: Mapping[str, Output]) -> str:
    """Format the outputs side by side, and what differs between them."""
    header = ["output", *_SPLITS, "positive", "mean, at most", "deviation", "vocabulary entries"]
    lines = format_table(header, [_format_output(name, output) for name, output in outputs.items()])
    differences = find_disagreements(outputs)
    if not differences:
        return f"{lines}\nthe contenders agree"
    return f"{lines}\nTHEY DISAGREE:\n  " + "\n  ".join(differences)


def collect_agreement(outputs: Mapping[str, Output]) -> dict[str, Any]:
    """Collect the outputs and what differs between them, for JSON."""
    differences = find_disagreements(outputs)
    return {
        "agree": not differences,
        "disagreements": differences,
        "outputs": {name: asdict(output) for name, output in outputs.items()},
    }


def _format_output(name: str, output: Output) -> list[str]:
    rows = [f"{output.rows[split]:,}" for split in _SPLITS]
    mean = f"{max(map(abs, output.mean.values())):.1e}"
    std = f"{min(output.std.values()):.3f}..{max(output.std.values()):.3f}"
    return [name, *rows, f"{output.positive:,}", mean, std, f"{sum(output.vocabulary.values()):,}"]


def _find_column_problems(schema: pa.Schema, split: str) -> list[str]:
    types = dict(zip(schema.names, schema.types, strict=True))
    problems = [
        f"column {name} is {types.get(name, 'missing')}, expected {kind}"
        for name, kind in _EXPECTED.items()
        if types.get(name) != kind
    ]
    unexpected = [name for name in types if name not in _EXPECTED]
    if split == "test":  # Headrace alone keeps raw values beside the rows that are judged
        unexpected = [name for name in unexpected if not name.startswith("raw_")]
    return problems + [f"column {name} is not expected" for name in unexpected]
