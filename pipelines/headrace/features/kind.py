"""Define the interface that every kind of feature implements, a module per kind."""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict

from headrace.columns.histogram import HistogramAxis
from headrace.columns.statistics import Statistics
from headrace.columns.values import Values
from headrace.errors import Problem
from headrace.features.summaries import SummaryRequest
from headrace.features.text_index import TextIndex
from headrace.recipe_section import Section
from headrace.schema import ColumnType

if TYPE_CHECKING:
    import tensorflow as tf

    from headrace.features.tensors import Block, Column, LookupTable

Form = Literal["numbers", "ids", "tokens", "series", "image"]
"""What a model reads of a feature, whatever its kind: float32 scalars, one int32 id, int32 ids
(length,), float32 (length,), or uint8 (height, width, channels)."""

DTYPES: Mapping[Form, str] = {
    "numbers": "float32",
    "ids": "int32",
    "tokens": "int32",
    "series": "float32",
    "image": "uint8",
}

MISSING_ID = 0
FIRST_UNKNOWN_ID = 1


class FeatureSection(Section):
    """Base of the sections under `features` in a recipe."""

    accepted_types: ClassVar[frozenset[ColumnType]]
    """Types of the raw columns that it may read."""
    if TYPE_CHECKING:  # declared by each section, where its keys are to stand
        kind: str

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the shape of a row's value; () of a scalar."""
        return ()

    def list_source_columns(self, name: str) -> list[str]:
        """Return the raw or derived columns that the feature of this name reads."""
        raise NotImplementedError

    def list_dataset_columns(self, name: str) -> list[str]:
        """Return the columns of a dataset that the feature of this name becomes."""
        return [name]

    def find_limit_problems(self, where: str) -> list[Problem]:
        """Return what is wrong with limits of values; `where` is the section's key."""
        return []

    def find_impute_problems(self, where: str) -> list[Problem]:
        """Return what is wrong with the value that stands for a missing one."""
        return []


class ColumnSection(FeatureSection):
    """Base of the sections that read a single column."""

    column: str | None = None
    """Raw or derived column; the feature's own name where it is left out."""

    def list_source_columns(self, name: str) -> list[str]:
        """Return the column that the feature of this name reads."""
        return [self.column or name]


class FittedFeature(BaseModel):
    """Base of features as `transform.json` has them: plain values, and nothing that runs."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    if TYPE_CHECKING:  # declared by each feature: their order is the order in the file
        kind: str
        name: str

    @property
    def source_columns(self) -> tuple[str, ...]:
        """Return the raw or derived columns that it reads."""
        raise NotImplementedError

    @property
    def dataset_columns(self) -> tuple[str, ...]:
        """Return the columns of a dataset that it becomes."""
        return (self.name,)

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the shape of a row's value; () of a scalar."""
        return ()

    @property
    def cardinality(self) -> int:
        """Return how many ids there are, 0 to one less; 0 where values are no ids."""
        return 0


class FittedColumnFeature(FittedFeature):
    """Base of fitted features that read a single column."""

    if TYPE_CHECKING:
        column: str

    @property
    def source_columns(self) -> tuple[str, ...]:
        """Return the column that it reads."""
        return (self.column,)


@dataclass(frozen=True)
class CountLimits:
    """The limits of the text counts that a feature is fitted on.

    Attributes:
        min_count: how often a text occurs at least.
        max_size: how many texts at most, the most frequent; None for all.
    """

    min_count: int
    max_size: int | None


SectionT = TypeVar("SectionT", bound=FeatureSection)
FittedT = TypeVar("FittedT", bound=FittedFeature)


class FeatureKind(ABC, Generic[SectionT, FittedT]):
    """A kind of feature.

    Attributes:
        form: what a model reads of such a feature.
        sections: sections of the recipe that become such a feature, each with a `kind` of its own.
        fitted: its fitted form, with the `kind` that `transform.json` has.
    """

    form: Form
    sections: tuple[type[SectionT], ...]
    fitted: type[FittedT]

    # --- fitting ----------------------------------------------------------------------------------
    def list_summary_requests(self, name: str, section: SectionT) -> list[SummaryRequest]:
        """Return what has to be known about the train rows."""
        return []

    def find_count_limits(self, section: SectionT) -> CountLimits | None:
        """Return which text counts it needs; None where the most frequent will do."""
        return None

    @abstractmethod
    def fit_feature(self, name: str, section: SectionT, statistics: Statistics) -> FittedT:
        """Return the fitted feature.

        Args:
            name: of the feature.
            section: the recipe's.
            statistics: the summaries that `list_summary_requests` asks for, by key.

        Raises:
            LakeError: the feature cannot be fitted on these values.
        """

    # --- execution on Arrow batches, and in a graph -----------------------------------------------
    def build_vocabulary(self, feature: FittedT) -> TextIndex | None:
        """Return the texts that `compute_arrays` looks up, made once per transform."""
        return None

    @abstractmethod
    def compute_arrays(
        self, feature: FittedT, columns: Mapping[str, Values], vocabulary: TextIndex | None
    ) -> dict[str, np.ndarray]:
        """Return dataset column -> values (n, …), dtype and shape those of the form.

        Args:
            feature: the fitted feature.
            columns: raw and derived columns by name, n rows.
            vocabulary: what `build_vocabulary` returned.
        """

    def build_table(self, feature: FittedT) -> "LookupTable | None":
        """Return the table that `compute_tensors` looks texts up in, made once per layer."""
        return None

    def compute_tensors(
        self,
        feature: FittedT,
        columns: "Mapping[str, Column]",
        table: "LookupTable | None",
    ) -> "dict[str, tf.Tensor]":
        """Return dataset column -> tensor (batch, …): the values of `compute_arrays`.

        Args:
            feature: the fitted feature; of a stack its kind need not have this method.
            columns: raw and derived columns by name.
            table: what `build_table` returned.
        """
        raise NotImplementedError

    def get_stack_key(self, feature: FittedT) -> Hashable | None:
        """Return what features have in common that a graph computes together; None: it is alone.

        Each of them reads one column, and their columns are of one kind. Thousands of them are then
        as many operations as a few.
        """
        return None

    def build_stack_table(self, features: Sequence[FittedT]) -> "LookupTable | None":
        """Return the table that `compute_stack` looks texts up in, made once per layer."""
        return None

    def compute_stack(
        self, features: Sequence[FittedT], stack: "Column", table: "LookupTable | None"
    ) -> "list[Block]":
        """Return the values of `compute_arrays` of features of one stack key.

        Args:
            features: some of one key.
            stack: the column of each, (batch, features).
            table: what `build_stack_table` returned.
        """
        raise NotImplementedError

    # --- what people see --------------------------------------------------------------------------
    @abstractmethod
    def list_axes(
        self, feature: FittedT, section: SectionT, statistics: Statistics
    ) -> list[HistogramAxis]:
        """Return how the data report counts the feature's dataset columns.

        Args:
            feature: the fitted feature.
            section: the recipe's.
            statistics: what it was fitted on.
        """

    def make_example_values(self, feature: FittedT, *, in_lists: bool) -> tuple[Any, Any] | None:
        """Return two raw values as a caller may send them; None where any will do.

        Args:
            feature: the fitted feature.
            in_lists: whether the raw column is a list column.
        """
        return None


class NumbersKind(FeatureKind[SectionT, FittedT]):
    """A kind whose dataset columns are float32 scalars."""

    form = "numbers"

    @abstractmethod
    def restore_numbers(self, feature: FittedT, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return the numbers that dataset columns were made of, float64 (n,), NaN where missing.

        Args:
            feature: the fitted feature.
            columns: its dataset columns by name, float32 (n,).
        """


class IdsKind(FeatureKind[SectionT, FittedT]):
    """A kind whose dataset column is one int32 id."""

    form = "ids"

    @abstractmethod
    def name_ids(self, feature: FittedT) -> list[str]:
        """Return what each id stands for; the first is `missing`."""
