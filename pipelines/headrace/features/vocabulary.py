"""Define the kind `vocabulary`: a value as its id in a vocabulary of the train split, int32.

How ids are numbered is in `lookup`. Integers and timestamps are looked up by their decimal text.
With `fill` missing becomes that text.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from headrace.columns.histogram import MISSING_LABEL, HistogramAxis, make_text_axis
from headrace.columns.statistics import Statistics, TextCounts
from headrace.columns.values import Values
from headrace.errors import Problem
from headrace.features.kind import (
    ColumnSection,
    CountLimits,
    FittedColumnFeature,
    IdsKind,
)
from headrace.features.lookup import (
    SHOWN_TEXTS,
    FittedTexts,
    build_lookup_table,
    build_text_index,
    count_ids,
    fit_vocabulary,
    look_up_text_tensors,
    look_up_texts,
)
from headrace.features.lookup_stack import build_joint_table, look_up_stack
from headrace.features.numbers import Constant, find_constant_problems
from headrace.features.stored_texts import StoredTexts
from headrace.features.summaries import SummaryRequest, TextCountsRequest
from headrace.features.text_index import TextIndex
from headrace.recipe_section import Count
from headrace.schema import CATEGORIES

if TYPE_CHECKING:
    import tensorflow as tf

    from headrace.features.tensors import Block, Column, LookupTable


class VocabularySection(ColumnSection):
    """Ids ordered by count then value on the train split; 0 is missing, then unknown values."""

    accepted_types = CATEGORIES

    kind: Literal["vocabulary"]
    min_count: Count = 1
    max_size: Count | None = None
    oov_ids: Count = 1
    """Ids that values out of the vocabulary share, by hash."""
    impute: Literal["most_frequent"] | Constant | None = None
    """What a missing value becomes; by default it has id 0 for itself."""

    @property
    def count_limits(self) -> CountLimits:
        """Return which values are in the vocabulary."""
        return CountLimits(self.min_count, self.max_size)

    def find_impute_problems(self, where: str) -> list[Problem]:
        """Return that a constant is no text, if so."""
        return find_constant_problems(self.impute, f"{where}.impute", text=True)


class VocabularyFeature(FittedColumnFeature):
    """int32 ids of the values seen on the train split, most frequent first."""

    kind: Literal["vocabulary"] = "vocabulary"
    name: str
    column: str
    values: FittedTexts
    unknown_ids: int = 1
    fill: str | None = None

    @property
    def cardinality(self) -> int:
        """Return how many ids there are, those of missing and unknown values included."""
        return count_ids(self.unknown_ids, self.values)


class VocabularyKind(IdsKind[VocabularySection, VocabularyFeature]):
    """A value as its id in a vocabulary."""

    sections = (VocabularySection,)
    fitted = VocabularyFeature

    def list_summary_requests(self, name: str, section: VocabularySection) -> list[SummaryRequest]:
        """Return the column's texts."""
        return [TextCountsRequest(section.column or name)]

    def find_count_limits(self, section: VocabularySection) -> CountLimits | None:
        """Return the limits of the vocabulary."""
        return section.count_limits

    def fit_feature(
        self, name: str, section: VocabularySection, statistics: Statistics
    ) -> VocabularyFeature:
        """Return the feature with the most frequent values of the train split."""
        column = section.column or name
        counts = statistics[TextCountsRequest(column).key]
        values = fit_vocabulary(counts, section.count_limits)
        fill = None
        if isinstance(section.impute, Constant):
            fill = str(section.impute.constant)
        elif section.impute and isinstance(counts, TextCounts) and counts.table.num_rows:
            fill = counts.list_most_frequent(max_size=1)[0][0]
        return VocabularyFeature(
            name=name, column=column, values=values, unknown_ids=section.oov_ids, fill=fill
        )

    def build_vocabulary(self, feature: VocabularyFeature) -> TextIndex | None:
        """Return the index of the values."""
        return build_text_index(feature.values)

    def compute_arrays(
        self,
        feature: VocabularyFeature,
        columns: Mapping[str, Values],
        vocabulary: TextIndex | None,
    ) -> dict[str, np.ndarray]:
        """Return the ids, int32 (n,)."""
        assert vocabulary is not None
        values = columns[feature.column]
        ids = look_up_texts(values, vocabulary, feature.unknown_ids, feature.fill)
        return {feature.name: ids}

    def build_table(self, feature: VocabularyFeature) -> "LookupTable | None":
        """Return a table from value to id."""
        return build_lookup_table(feature.values, feature.unknown_ids)

    def compute_tensors(
        self,
        feature: VocabularyFeature,
        columns: "Mapping[str, Column]",
        table: "LookupTable | None",
    ) -> "dict[str, tf.Tensor]":
        """Return the ids, int32 (batch,)."""
        column = columns[feature.column]
        ids = look_up_text_tensors(column, table, feature.unknown_ids, feature.fill)
        return {feature.name: ids}

    def get_stack_key(self, feature: VocabularyFeature) -> Hashable | None:
        """Return how many ids unknown values share; None of values that lie in a file."""
        return None if isinstance(feature.values, StoredTexts) else feature.unknown_ids

    def build_stack_table(self, features: Sequence[VocabularyFeature]) -> "LookupTable | None":
        """Return one table from a feature's position and a value to the id."""
        return build_joint_table([f.values for f in features], features[0].unknown_ids)

    def compute_stack(
        self, features: Sequence[VocabularyFeature], stack: "Column", table: "LookupTable | None"
    ) -> "list[Block]":
        """Return the ids, int32."""
        from headrace.features.tensors import Block

        fills = [feature.fill for feature in features]
        ids = look_up_stack(stack, table, features[0].unknown_ids, fills)
        return [Block(tuple(f.name for f in features), ids)]

    def list_axes(
        self, feature: VocabularyFeature, section: VocabularySection, statistics: Statistics
    ) -> list[HistogramAxis]:
        """Return an axis of the most frequent values, and of groups of the others."""
        unknown = [f"unknown {i}" for i in range(feature.unknown_ids)]
        if feature.unknown_ids == 1:
            unknown = ["unknown"]
        shown = feature.values[:SHOWN_TEXTS]
        others = len(feature.values) - len(shown)
        return [make_text_axis(feature.name, unknown, shown, others)]

    def make_example_values(
        self, feature: VocabularyFeature, *, in_lists: bool
    ) -> tuple[Any, Any] | None:
        """Return the most frequent value, and the least frequent of the vocabulary."""
        return (feature.values[0], feature.values[-1]) if feature.values else None

    def name_ids(self, feature: VocabularyFeature) -> list[str]:
        """Return the values, after missing and unknown ones."""
        unknown = [f"unknown {i + 1}" for i in range(feature.unknown_ids)]
        unknown = ["unknown"] if feature.unknown_ids == 1 else unknown
        return [MISSING_LABEL, *unknown, *feature.values]
