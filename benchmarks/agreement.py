"""Did the contenders do the same work? Their files are read back and compared.

Rows, identities and labels must be equal. Means and standard deviations of the train split must be
near 0 and 1. Vocabularies must be equal where the splits are, and else within what two random
splits of the same rows differ by.
"""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.report import table
from headrace.examples.synthetic import CATEGORICAL, NUMERIC

_SPLITS = ("train", "validation", "test")
_SAME_SPLIT_FUNCTION = ("plain_spark", "spark_ml")
_ROWS_A_BATCH = 65_536
_MEAN, _STD = 0.001, 0.05
"""Distance from 0 and from 1 on the train split: float32 sums; nulls that became the mean."""
_SIGMAS = 6
_RESERVED = {"spark_ml": 0}
"""Ids before the vocabulary's first, less what comes after its last; 1 (see module) for others."""


@dataclass(frozen=True)
class Output:
    """Figures of one contender's files.

    Attributes:
        rows: by split.
        identities: distinct row_ids.
        positive: rows with label 1.
        mean: by numeric column, on train.
        std: by numeric column, on train.
        vocabulary: entries by categorical column, taken from the largest id on train.
        problems: columns that are missing, have another type or hold nulls.
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
        return sum(self.rows.values())


def measure_output(contender: str, files: Mapping[str, list[str]]) -> Output:
    """Read a contender's files, one column at a time where all rows are needed at once."""
    rows: Counter[str] = Counter()
    positive, problems = 0, set()
    ids: list[np.ndarray] = []
    sums, squares = np.zeros(len(NUMERIC)), np.zeros(len(NUMERIC))
    largest = np.zeros(len(CATEGORICAL), np.int64)
    for split in _SPLITS:
        for path in files.get(split, []):
            # Not `read_table`, which would add the folder's name as a column.
            file = pq.ParquetFile(path)
            wrong = _wrong_columns(file.schema_arrow)
            problems.update(wrong)
            if wrong:
                continue
            for batch in file.iter_batches(_ROWS_A_BATCH):
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
                    most = [batch[name].to_numpy().max(initial=0) for name in CATEGORICAL]
                    largest = np.maximum(largest, most)
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


def disagreements(outputs: Mapping[str, Output]) -> list[str]:
    """What differs by more than it may; empty if the contenders agree."""
    found: list[str] = []
    for name, output in outputs.items():
        found += [f"{name}: {problem}" for problem in output.problems]
        if output.identities != output.total:
            found.append(f"{name}: {output.total:,} rows, {output.identities:,} row_ids")
        for column in NUMERIC:
            if abs(output.mean[column]) > _MEAN or abs(output.std[column] - 1) > _STD:
                mean, std = output.mean[column], output.std[column]
                found.append(f"{name}: {column} has mean {mean:.4f}, deviation {std:.4f} on train")
    (first, reference), *others = outputs.items()
    for name, output in others:
        pair = f"{first} and {name}"
        for what in ("total", "positive"):
            a, b = getattr(reference, what), getattr(output, what)
            if a != b:
                found.append(f"{pair}: {what} {a:,} and {b:,}")
        same = reference.rows == output.rows
        for split in _SPLITS:
            a, b = reference.rows[split], output.rows[split]
            share = a / max(1, reference.total)
            if abs(a - b) > _SIGMAS * math.sqrt(2 * reference.total * share * (1 - share)):
                found.append(f"{pair}: {split} has {a:,} and {b:,} rows")
        for column in CATEGORICAL:
            a, b = reference.vocabulary[column], output.vocabulary[column]
            if abs(a - b) > (0 if same else _SIGMAS * math.sqrt(max(a, b))):
                found.append(f"{pair}: {column} has {a:,} and {b:,} values")
    by_one_function = [outputs[name].rows for name in _SAME_SPLIT_FUNCTION if name in outputs]
    if any(rows != by_one_function[0] for rows in by_one_function):
        found.append(f"{' and '.join(_SAME_SPLIT_FUNCTION)} split differently: {by_one_function}")
    return found


def say_agreement(outputs: Mapping[str, Output]) -> str:
    """The outputs side by side, and what is wrong with them."""
    header = ["output", *_SPLITS, "positive", "mean, at most", "deviation", "vocabulary entries"]
    lines = table(header, [_line(name, output) for name, output in outputs.items()])
    found = disagreements(outputs)
    verdict = "the contenders agree" if not found else "THEY DISAGREE:\n  " + "\n  ".join(found)
    return f"{lines}\n{verdict}"


def agreement_figures(outputs: Mapping[str, Output]) -> dict[str, Any]:
    """For JSON."""
    found = disagreements(outputs)
    return {
        "agree": not found,
        "disagreements": found,
        "outputs": {name: asdict(output) for name, output in outputs.items()},
    }


def _line(name: str, output: Output) -> list[str]:
    rows = [f"{output.rows[split]:,}" for split in _SPLITS]
    mean = f"{max(map(abs, output.mean.values())):.1e}"
    std = f"{min(output.std.values()):.3f}..{max(output.std.values()):.3f}"
    return [name, *rows, f"{output.positive:,}", mean, std, f"{sum(output.vocabulary.values()):,}"]


def _wrong_columns(schema: pa.Schema) -> list[str]:
    wanted = {"row_id": pa.int64(), "label": pa.float32()}
    wanted |= dict.fromkeys(NUMERIC, pa.float32()) | dict.fromkeys(CATEGORICAL, pa.int32())
    found = dict(zip(schema.names, schema.types, strict=True))
    wrong = [
        f"column {name} is {found.get(name, 'missing')}, wanted {kind}"
        for name, kind in wanted.items()
        if found.get(name) != kind
    ]
    return wrong + [f"column {name} is not wanted" for name in found if name not in wanted]
