"""Collect the statistics of written rows inside the tasks: exact totals of each file, and the rows
of the sample (`lake.row_sample`).

Totals of files go to the store, as tallies do, for versions that keep some files and drop others;
the driver gets their sums by split, and the sampled rows, of which there are not more in all than a
sample has. Of every number a few passes are made over memory; texts cost their sampled rows alone.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.columns.dataset_columns import LABEL, ROW_ID
from headrace.columns.values import ELEMENT_KINDS, MISSING_INTEGER, RawKind, read_column
from headrace.lake.column_totals import ColumnTotals, read_totals, write_totals
from headrace.lake.data_file import SPLITS
from headrace.lake.row_sample import EVERY_HASH, RowSample
from headrace.lake.sidecar import locate_sidecar
from headrace.lake.storage import write_object
from headrace.prepare.shuffle.row_hash import hash_order
from headrace.source.dictionaries import combine_chunks, decode_column
from headrace.source.internal_columns import LABEL as RAW_LABEL

LABEL_IN_DATASET = "label as in the dataset"
LABEL_NUMBER = "label"
"""Names of the label in samples and totals; the second is the number before scaling. Names of raw
columns begin with another word, see `name_raw`."""
_FOLDER = "column_totals"
# Of the hash that samples rows; what orders them in files has the recipe's seed.
_SEED = 0x5A3F_91C7_06DE_44B1
# Longer texts are sampled as their begin and a digest of all of it.
_LONGEST_TEXT, _BEGIN_OF_LONG = 96, 64
# Files whose totals a task holds at once.
_FILES_HELD = 64

Totals = dict[str, ColumnTotals]
"""Column of a sample -> its totals."""


@dataclass(frozen=True)
class SampleOptions:
    """What is collected of the rows that a build writes.

    Attributes:
        threshold: rows whose hash is below are sampled.
        kinds: raw columns -> kind, in order; without images.
        label_is_scalar: whether a row's label is one value in the dataset.
        label_is_number: whether it is a number in the lake.
    """

    threshold: int
    kinds: Mapping[str, RawKind]
    label_is_scalar: bool
    label_is_number: bool


@dataclass(frozen=True)
class FileRows:
    """Where the rows of a data file are among those of its target.

    Attributes:
        path: of the file.
        split: position in SPLITS.
        begin, end: the first row, and the one after the last.
    """

    path: str
    split: int
    begin: int
    end: int


def name_raw(column: str) -> str:
    """Return the name of a raw column in samples and totals."""
    return f"raw {column}"


class TaskStatistics:
    """The statistics of the files that a task writes."""

    def __init__(self, root: str, build_id: str, attempt: int) -> None:
        """
        Args:
            root, build_id: of the dataset and the build.
            attempt: of the task; its files have names of their own.
        """
        self._folder = locate_totals(root, build_id)
        self._attempt = attempt
        self._held: list[tuple[str, str, Totals]] = []
        self._samples: list[RowSample] = []
        self._target = 0

    def add_rows(
        self,
        target: int,
        files: Sequence[FileRows],
        rows: pa.Table,
        columns: Mapping[str, Any],
        missing: Mapping[str, np.ndarray],
        options: SampleOptions,
    ) -> None:
        """Add the rows of a target.

        Args:
            target: its number.
            files: that they are in, in the order of rows.
            rows: their raw columns.
            columns: those of the dataset.
            missing: raw column -> where it is missing, bool (rows,).
            options: what is collected.
        """
        if not files:
            return
        if not self._held:
            self._target = target
        hashes = hash_order(columns[ROW_ID], _SEED)
        chosen = _choose_rows(hashes, options.threshold)
        totals: list[Totals] = [{} for _ in files]
        sampled: dict[str, np.ndarray | pa.Array] = {}
        for column, kind in options.kinds.items():
            name = name_raw(column)
            if kind == "string":
                sampled[name] = _sample_texts(rows[column], missing[column], chosen)
                continue
            numbers, is_missing = _read_numbers(rows[column], kind, missing[column])
            _add_totals(name, numbers, is_missing, files, totals)
            sampled[name] = _mark_missing(numbers[chosen], is_missing[chosen])
        if options.label_is_scalar:
            sampled[LABEL_IN_DATASET] = np.asarray(columns[LABEL])[chosen].astype(np.float64)
        if options.label_is_number:
            numbers, is_missing = _read_numbers(rows[RAW_LABEL], "real", None)
            _add_totals(LABEL_NUMBER, numbers, is_missing, files, totals)
            sampled[LABEL_NUMBER] = _mark_missing(numbers[chosen], is_missing[chosen])
        self._held += [
            (file.path, SPLITS[file.split], own) for file, own in zip(files, totals, strict=True)
        ]
        place = np.searchsorted(np.array([file.end for file in files]), chosen, side="right")
        self._samples.append(
            RowSample(
                threshold=options.threshold,
                hashes=hashes[chosen],
                splits=np.array([file.split for file in files], np.uint8)[place],
                files=place.astype(np.int64),
                paths=tuple(file.path for file in files),
                columns=sampled,
            )
        )

    @property
    def is_full(self) -> bool:
        """Return whether statistics are to be written before others are added."""
        return len(self._held) >= _FILES_HELD

    def write_file(self) -> tuple[str, int, bytes, bytes] | None:
        """Write the totals of files.

        Returns:
            the file's name, its first target, the totals by split, which `read_split_totals` reads,
            and the sample, as a file; None where there are no statistics.
        """
        if not self._held:
            return None
        name = f"{self._target:05d}-{self._attempt}.parquet"
        write_object(self._folder, name, write_totals((path, own) for path, _, own in self._held))
        by_split = sum_totals((split, own) for _, split, own in self._held)
        sample = RowSample.merge(self._samples).to_bytes()
        self._held, self._samples = [], []
        return name, self._target, write_totals(by_split.items()), sample


def locate_totals(root: str, build_id: str) -> str:
    """Return the folder of the totals that tasks of a build write."""
    return f"{locate_sidecar(root, build_id)}/{_FOLDER}"


def sum_totals(totals: Iterable[tuple[str, Totals]]) -> dict[str, Totals]:
    """Add up the totals of each split."""
    sums: dict[str, Totals] = {}
    for split, columns in totals:
        own = sums.setdefault(split, {})
        for name, part in columns.items():
            own[name] = own[name] + part if name in own else part
    return sums


def read_split_totals(blob: bytes) -> list[tuple[str, Totals]]:
    """Return the splits and totals that `TaskStatistics.write_file` returned."""
    return [(split, {name: totals}) for split, name, totals in read_totals(blob)]


def _choose_rows(hashes: np.ndarray, threshold: int) -> np.ndarray:
    if threshold >= EVERY_HASH:
        return np.arange(len(hashes))
    return np.flatnonzero(hashes < np.uint64(threshold))


def _read_numbers(
    column: pa.ChunkedArray, kind: RawKind, missing: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return a column's numbers, int64 or float64 (rows,), and where they mean nothing."""
    if kind in ELEMENT_KINDS:
        lengths = pc.fill_null(pc.list_value_length(combine_chunks(column)), 0)
        numbers = lengths.to_numpy(zero_copy_only=False).astype(np.int64)
        return numbers, np.zeros(len(numbers), bool) if missing is None else missing
    values = read_column(column, kind)
    return values.array, values.missing if missing is None else values.missing | missing


def _add_totals(
    name: str,
    numbers: np.ndarray,
    is_missing: np.ndarray,
    files: Sequence[FileRows],
    totals: Sequence[Totals],
) -> None:
    is_full = not is_missing.any()
    for file, own in zip(files, totals, strict=True):
        part = numbers[file.begin : file.end]
        if not is_full:
            part = part[~is_missing[file.begin : file.end]]
        own[name] = ColumnTotals.from_numbers(part)


def _mark_missing(numbers: np.ndarray, is_missing: np.ndarray) -> np.ndarray:
    missing = np.nan if numbers.dtype == np.float64 else np.int64(MISSING_INTEGER)
    return np.where(is_missing, missing, numbers)


def _sample_texts(column: pa.ChunkedArray, missing: np.ndarray, chosen: np.ndarray) -> pa.Array:
    """Return the texts of the chosen rows, null where missing; long ones shortened."""
    texts = combine_chunks(decode_column(column.take(pa.array(chosen))))
    if texts.type != pa.string():
        texts = pc.cast(texts, pa.string())
    if missing[chosen].any():
        texts = pc.if_else(pa.array(missing[chosen]), pa.scalar(None, pa.string()), texts)
    is_long = pc.fill_null(pc.greater(pc.utf8_length(texts), _LONGEST_TEXT), False)
    if not pc.any(is_long).as_py():
        return texts
    return pa.array([text and shorten_text(text) for text in texts.to_pylist()], pa.string())


def shorten_text(text: str) -> str:
    """Return a text, or the begin of a long one and a digest, which others of it do not have."""
    if len(text) <= _LONGEST_TEXT:
        return text
    digest = hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).hexdigest()
    return f"{text[:_BEGIN_OF_LONG]}… ({len(text)} characters, {digest})"
