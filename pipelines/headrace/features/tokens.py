"""Define the feature `tokens`, made by the recipe kinds `multi_valued` and `text`.

It turns the elements of a list, or the words of a text, into ids, int32 (length,): it keeps the
first `length` ids and pads with 0 at the end; null elements get 0. Ids are those of `lookup`, or
with `buckets` those of `fingerprints`. Splitting a text into words is left to `words`.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from headrace.columns.histogram import (
    HistogramAxis,
    make_empty_axis,
    make_hash_axis,
    make_text_axis,
)
from headrace.columns.statistics import Statistics
from headrace.columns.values import Values
from headrace.features.fingerprints import hash_column_tensors, hash_columns
from headrace.features.hash import Buckets
from headrace.features.kind import (
    MISSING_ID,
    ColumnSection,
    CountLimits,
    FeatureKind,
    FittedColumnFeature,
)
from headrace.features.lists import pad_list_tensors, pad_lists
from headrace.features.lookup import (
    SHOWN_TEXTS,
    FittedTexts,
    Texts,
    build_lookup_table,
    build_text_index,
    count_ids,
    fit_vocabulary,
    look_up_text_tensors,
    look_up_texts,
)
from headrace.features.summaries import SummaryRequest, TextCountsRequest
from headrace.features.text_index import TextIndex
from headrace.features.words import WordSplitter
from headrace.recipe_section import Count
from headrace.schema import ColumnType

if TYPE_CHECKING:
    import tensorflow as tf

    from headrace.features.tensors import Column, LookupTable


class _TokensSection(ColumnSection):
    if TYPE_CHECKING:  # declared by each section, to fix the order of its keys
        length: int
        min_count: int
        max_size: int | None
        oov_ids: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the length of a row's ids."""
        return (self.length,)

    @property
    def count_limits(self) -> CountLimits:
        """Return which texts are in the vocabulary."""
        return CountLimits(self.min_count, self.max_size)


class MultiValuedSection(_TokensSection):
    """Ids of the first `length` elements of a list column, padded with 0."""

    accepted_types = frozenset({ColumnType.INTEGERS, ColumnType.STRINGS})

    kind: Literal["multi_valued"]
    length: Count
    min_count: Count = 1
    max_size: Count | None = None
    oov_ids: Count = 1
    buckets: Buckets | None = None
    """Hash the elements instead of looking them up."""


class TextSection(_TokensSection):
    """Ids of the first `length` words of a text, padded with 0."""

    accepted_types = frozenset({ColumnType.STRING})

    kind: Literal["text"]
    length: Count
    lower: bool = True
    """ASCII letters to lower case."""
    strip_punctuation: bool = True
    """ASCII punctuation to spaces."""
    min_count: Count = 1
    max_size: Count | None = None
    oov_ids: Count = 1


class TokensFeature(FittedColumnFeature):
    """int32 ids of a list's elements or a text's words, padded or truncated to `length`."""

    kind: Literal["tokens"] = "tokens"
    name: str
    column: str
    length: int
    lower: bool = False
    strip_punctuation: bool = False
    values: FittedTexts = ()
    unknown_ids: int = 1
    buckets: int | None = None
    """Set where ids are hashed; `values` is then empty and `unknown_ids` without meaning."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the length of a row's ids."""
        return (self.length,)

    @property
    def cardinality(self) -> int:
        """Return how many ids there are, that of padding included."""
        if self.buckets is not None:
            return self.buckets + 1
        return count_ids(self.unknown_ids, self.values)

    @property
    def splitter(self) -> WordSplitter:
        """Return how a text is split."""
        return WordSplitter(self.lower, self.strip_punctuation)


class TokensKind(FeatureKind[MultiValuedSection | TextSection, TokensFeature]):
    """The first elements of a list, or words of a text, as ids."""

    form = "tokens"
    sections = (MultiValuedSection, TextSection)
    fitted = TokensFeature

    def list_summary_requests(
        self, name: str, section: MultiValuedSection | TextSection
    ) -> list[SummaryRequest]:
        """Return the elements, or the words, where they are looked up."""
        if isinstance(section, MultiValuedSection) and section.buckets:
            return []
        return [_make_summary_request(name, section)]

    def find_count_limits(self, section: MultiValuedSection | TextSection) -> CountLimits | None:
        """Return the limits of the vocabulary."""
        return section.count_limits

    def fit_feature(
        self, name: str, section: MultiValuedSection | TextSection, statistics: Statistics
    ) -> TokensFeature:
        """Return the feature with the most frequent elements or words of the train split."""
        buckets = section.buckets if isinstance(section, MultiValuedSection) else None
        values: Texts = ()
        if not buckets:
            counts = statistics[_make_summary_request(name, section).key]
            values = fit_vocabulary(counts, section.count_limits)
        return TokensFeature(
            name=name,
            column=section.column or name,
            length=section.length,
            lower=section.lower if isinstance(section, TextSection) else False,
            strip_punctuation=section.strip_punctuation
            if isinstance(section, TextSection)
            else False,
            values=values,
            unknown_ids=section.oov_ids,  # the recipe's key for the ids of unknown texts
            buckets=buckets,
        )

    def build_vocabulary(self, feature: TokensFeature) -> TextIndex | None:
        """Return the index of the texts, where they are looked up."""
        return build_text_index(feature.values) if feature.buckets is None else None

    def compute_arrays(
        self, feature: TokensFeature, columns: Mapping[str, Values], vocabulary: TextIndex | None
    ) -> dict[str, np.ndarray]:
        """Return the ids, int32 (n, length)."""
        lists = columns[feature.column]
        if lists.kind == "string":
            lists = feature.splitter.split_values(lists)
        if feature.buckets is not None:
            ids = hash_columns([lists.elements], feature.buckets)
        else:
            assert vocabulary is not None
            ids = look_up_texts(lists.elements, vocabulary, feature.unknown_ids)
        return {feature.name: pad_lists(lists, ids, feature.length, MISSING_ID)}

    def build_table(self, feature: TokensFeature) -> "LookupTable | None":
        """Return a table from text to id."""
        return build_lookup_table(feature.values, feature.unknown_ids)

    def compute_tensors(
        self,
        feature: TokensFeature,
        columns: "Mapping[str, Column]",
        table: "LookupTable | None",
    ) -> "dict[str, tf.Tensor]":
        """Return the ids, int32 (batch, length)."""
        column = columns[feature.column]
        if column.kind == "string":
            column = feature.splitter.split_tensors(column)
        column = pad_list_tensors(column, feature.length)
        if feature.buckets is not None:
            return {feature.name: hash_column_tensors([column], feature.buckets)}
        return {feature.name: look_up_text_tensors(column, table, feature.unknown_ids)}

    def list_axes(
        self,
        feature: TokensFeature,
        section: MultiValuedSection | TextSection,
        statistics: Statistics,
    ) -> list[HistogramAxis]:
        """Return an axis of the most frequent texts, or of groups of hashed ones, and one of rows
        without any."""
        empty = make_empty_axis(feature.name)
        if feature.buckets is not None:
            return [make_hash_axis(feature.name, feature.buckets, padded=True), empty]
        unknown, shown = ["unknown"] * feature.unknown_ids, feature.values[:SHOWN_TEXTS]
        others = len(feature.values) - len(shown)
        return [make_text_axis(feature.name, unknown, shown, others, padded=True), empty]

    def make_example_values(
        self, feature: TokensFeature, *, in_lists: bool
    ) -> tuple[Any, Any] | None:
        """Return a few frequent texts, then an empty list or a single word."""
        if not feature.values:
            return None
        if in_lists:
            return list(feature.values[:2]), []
        return " ".join(feature.values[:3]), feature.values[-1]


def _make_summary_request(
    name: str, section: MultiValuedSection | TextSection
) -> TextCountsRequest:
    column = section.column or name
    if isinstance(section, TextSection):
        return TextCountsRequest(column, WordSplitter(section.lower, section.strip_punctuation))
    return TextCountsRequest(column)
