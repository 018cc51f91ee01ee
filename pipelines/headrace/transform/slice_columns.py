"""Find where the values of a slice's column lie, and read them: raw ones, exact and typed.

Raw values lie beside the rows of the test split. A version of an older Headrace has none: there the
values are restored from what the model reads, as far as that says what they were. Encoding values
as slices is left to `evaluate/`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, cast

import pyarrow as pa

from headrace.columns.dataset_columns import name_passthrough_column
from headrace.columns.values import RawKind, StoredType, read_column
from headrace.errors import Problem
from headrace.features.buckets import BucketsFeature
from headrace.features.kind import FittedFeature, IdsKind
from headrace.features.kinds import find_feature_kind
from headrace.lake.build import Build, StoredColumn
from headrace.recipe import sections as s
from headrace.recipe.slice_limits import describe_misfit
from headrace.transform.derived import derive_values
from headrace.transform.spec import DerivedColumn, TransformSpec


@dataclass(frozen=True)
class RawSource:
    """One raw or derived column whose exact values can be read.

    Attributes:
        column: its name in the recipe.
        type: of its values.
        stored: the columns of the dataset that hold it, or that it is derived from.
        derived: how it is derived; None where it is raw.
    """

    column: str
    type: StoredType
    stored: tuple[StoredColumn, ...]
    derived: DerivedColumn | None = None

    def read_values(self, rows: pa.Table) -> pa.Array:
        """Return the values of rows that have the columns of `stored`.

        Returns:
            an Arrow array of int64 (booleans as well), float64, timestamps or strings; null where
            missing.
        """
        columns = [rows[item.name] for item in self.stored]
        if self.derived is None:
            chunks = columns[0].combine_chunks()
            return chunks if isinstance(chunks, pa.Array) else pa.concat_arrays(chunks.chunks)
        inputs = [
            read_column(column, _get_kind(item.type))
            for column, item in zip(columns, self.stored, strict=True)
        ]
        values = derive_values(self.derived, inputs)
        return pa.array(values.array, mask=values.missing)


@dataclass(frozen=True)
class SliceColumn:
    """Where the values of a slice's column lie.

    Attributes:
        name: in the recipe.
        sources: its raw values: one column, or several that are crossed; empty where they are
            restored from what the model reads.
        feature: whose values they are; None for columns of `dataset.keep`.
        is_category: whether each value stands for itself, also where it is a number.
        intervals: limits of the feature's own buckets; None where it has none.
    """

    name: str
    sources: tuple[RawSource, ...]
    feature: FittedFeature | None = None
    is_category: bool = False
    intervals: tuple[float, ...] | None = None

    @property
    def dataset_columns(self) -> list[str]:
        """Return the columns of the dataset that it is read from."""
        if self.is_restored and self.feature is not None:
            return list(self.feature.dataset_columns)
        return [item.name for source in self.sources for item in source.stored]

    @property
    def is_restored(self) -> bool:
        """Return whether the values are those that the model reads, as far as they can be read
        back."""
        return not self.sources

    @property
    def type(self) -> StoredType | Literal["numbers", "ids", "cross"]:
        """Return the type of the values; of restored ones, or crossed ones, what they are."""
        if len(self.sources) == 1:
            return self.sources[0].type
        if self.sources:
            return "cross"
        is_id = isinstance(find_feature_kind(cast(FittedFeature, self.feature)), IdsKind)
        return "ids" if is_id else "numbers"


def find_slice_column(name: str, spec: TransformSpec, build: Build) -> SliceColumn | None:
    """Find where the values of a column lie; None where the dataset does not have it.

    Args:
        name: of a column of `dataset.keep`, which goes first, or of a feature.
        spec: the dataset's transform.
        build: the record of its build.
    """
    if name in build.kept:
        return SliceColumn(name, (_find_kept_source(name, build),))
    feature = next((f for f in spec.features if f.name == name and not f.shape), None)
    if feature is None:
        return None
    sources = tuple(_find_sources(feature, spec, build.stored))
    intervals = feature.boundaries if isinstance(feature, BucketsFeature) else None
    is_id = isinstance(find_feature_kind(feature), IdsKind)
    return SliceColumn(name, sources, feature, is_id and intervals is None, intervals)


def find_slice_problems(
    slices: Iterable[s.Slice], spec: TransformSpec, build: Build
) -> list[Problem]:
    """Find what is wrong with slices by the columns of a dataset and the types of their values."""
    problems = []
    for index, item in enumerate(slices):
        for name in item.columns:
            column = find_slice_column(name, spec, build)
            if column is None:
                problems.append(
                    Problem(
                        f"evaluate.slices.{index}.columns",
                        f"the dataset has no column {name}",
                        "prepare it again with dataset.keep",
                    )
                )
            elif item.buckets is not None and not column.is_restored:
                misfit = describe_misfit(name, item.buckets, {column.type})
                if misfit:
                    problems.append(Problem(f"evaluate.slices.{index}.buckets", *misfit))
    return problems


def _find_kept_source(name: str, build: Build) -> RawSource:
    stored = build.stored.get(name)
    if stored is None:  # a version of an older Headrace
        kept = build.kept[name]
        stored = StoredColumn(name=name_passthrough_column(name), type=cast(StoredType, kept))
    return RawSource(name, stored.type, (stored,))


def _find_sources(
    feature: FittedFeature, spec: TransformSpec, stored: Mapping[str, StoredColumn]
) -> list[RawSource]:
    """Return the raw values that a feature reads; nothing where not all of them are there."""
    derived = {item.name: item for item in spec.derived}
    sources = []
    for column in feature.source_columns:
        item = derived.get(column)
        inputs = item.columns if item else (column,)
        if not all(name in stored for name in inputs):
            return []
        columns = tuple(stored[name] for name in inputs)
        kind = cast(StoredType, item.kind) if item else columns[0].type
        sources.append(RawSource(column, kind, columns, item))
    return sources


def _get_kind(stored: StoredType) -> RawKind:
    return "integer" if stored == "boolean" else stored
