"""Define the interface that every kind of label implements, a module per kind."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
import pyarrow as pa

from headrace.labels.ranking import LIST, RankingScorer, is_ranking_metric
from headrace.labels.scorer import Scorer
from headrace.schema import ColumnType

Direction = Literal["higher", "lower"]

RowLosses = Callable[[Any, Any], Any]
"""A function of labels and logits, TensorFlow tensors, that returns a loss per row, (batch,)."""

# Before a logarithm, probabilities are clipped so far from 0 and 1: the resolution of float32.
_EPSILON = 1e-7


class Form(Enum):
    """The form of a model's prediction, whatever the kind of its label."""

    PROBABILITY = "one probability per label, which a threshold turns into yes or no"
    CLASS = "a probability per class, of which the highest is the prediction"
    NUMBER = "a number in the label's own unit"


class Values(Enum):
    """The type in which label values travel from the lake to a dataset."""

    NUMBER = "float64"
    TEXT = "one text"
    TEXTS = "several texts, joined to one by `label_texts.SEPARATOR`"


class FittedLoss(Protocol):
    """What a kind asks of the loss under `train.loss`; see `losses.loss.Loss`."""

    def extend_scorer(
        self,
        scorer: Scorer,
        rows: Mapping[str, np.ndarray],
        kind: "LabelKind",
        label: "FittedLabel",
    ) -> Scorer: ...
    def predict_constant(
        self, truth: np.ndarray, weight: np.ndarray, kind: "LabelKind", label: "FittedLabel"
    ) -> np.ndarray: ...


class FittedLabel(Protocol):
    """The facts that a kind reads of a label once it is fitted; see `spec.LabelSpec`."""

    @property
    def kind(self) -> str: ...
    @property
    def classes(self) -> tuple[str, ...]: ...
    @property
    def center(self) -> float: ...
    @property
    def scale(self) -> float: ...
    @property
    def loss(self) -> FittedLoss | None: ...
    @property
    def cutoffs(self) -> tuple[int, ...]: ...


@dataclass(frozen=True)
class LabelSummary:
    """The labels of the train split in a few numbers.

    Attributes:
        rows: rows of the split.
        values: values counted: one per row, or of several labels one per label.
        distinct: different texts; 0 for numbers.
        examples: the most frequent texts, two at most.
        least_count: how often the rarest text occurs.
        low, high: the smallest and the largest number.
    """

    rows: int
    values: int
    distinct: int = 0
    examples: tuple[str, ...] = ()
    least_count: int = 0
    low: float = 0.0
    high: float = 0.0


class LabelKind(ABC):
    """A kind of label.

    Attributes:
        name: as recipes and artifacts have it.
        summary: description of the kind for the reference of the recipe.
        form: of a model's predictions.
        values: the type in which label values travel to a dataset.
        sql_types, sql_hint: column types that `label.expression` may give, and words for them.
        dtype: of the label in a dataset and a batch.
        metrics: metric -> which way is better, of all metrics that models are compared by.
        loss_metrics: the same of those that come with a loss under `train.loss`.
        undirected_metrics: further numbers of an evaluation, of which neither way is better.
        main_metric: the one that orders slices and features where the recipe names none.
        validation_metrics: the metrics that are computed after every epoch and plotted.
        validation_curve: the one of them that is a ROC AUC of label and output.
        tagged_metrics: the metrics that become tags of an evaluated model version.
        output: name of the model's output.
        activation: Keras activation between logits and output.
        has_threshold: whether a probability becomes a prediction by a threshold.
        has_positive_share: whether its values are counted as true and false.
        has_unit: whether labels may be standardized, and have a unit of their own.
        takes_baseline: whether `label.baseline` can be scored beside the model.
        class_weight_problem: why `label.class_weight` is refused, and the fix; None where it isn't.
        smoothing_problem: why `train.label_smoothing` is refused; None where it isn't.
        ranks_lists: whether rows of a list may be ranked by the prediction, see `ranking`.
        leakage_limit: strength of a single feature from which on it is suspicious.
        example_gate: metric and `at_least` of the gate that a proposed recipe shows.
        class_nouns: the word for `classes` in messages, where the kind has them.
        first_bins: names of bins before those of the classes, such as rows without any label.
        prediction_types: columns that scoring writes.
        served_columns: the same, in the order in which the served model returns them.
        golden_is_scaled: whether recorded predictions are compared relative to their size.
    """

    name: str
    summary: str
    form: Form
    values = Values.NUMBER
    sql_types: frozenset[ColumnType]
    sql_hint: str
    dtype = "float32"
    metrics: Mapping[str, Direction]
    loss_metrics: Mapping[str, Direction]
    undirected_metrics: tuple[str, ...] = ("rows",)
    main_metric: str
    validation_metrics: tuple[str, ...]
    validation_curve: str | None = None
    tagged_metrics: tuple[str, ...]
    output: str
    activation: str
    has_threshold = False
    has_positive_share = False
    has_unit = False
    takes_baseline = False
    class_weight_problem: tuple[str, str] | None = None
    smoothing_problem: str | None = None
    ranks_lists = False
    leakage_limit: float
    example_gate: ClassVar[Mapping[str, Any]]
    class_nouns: str | None = None
    first_bins: tuple[str, ...] = ()
    prediction_types: ClassVar[Mapping[str, pa.DataType]]
    served_columns: tuple[str, ...]
    golden_is_scaled = False

    # --- the dataset ------------------------------------------------------------------------------
    @property
    def has_text_values(self) -> bool:
        """Return whether label values are texts and not numbers."""
        return self.values is not Values.NUMBER

    def get_label_shape(self, label: FittedLabel) -> tuple[int, ...]:
        """Return the shape of a row's label in a dataset."""
        return ()

    @abstractmethod
    def find_label_problem(self, summary: LabelSummary) -> str | None:
        """Return the reason why nothing can be learned from these labels; None if there is none."""

    def convert_labels(
        self, column: pa.ChunkedArray, label: FittedLabel
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return labels as the dataset has them, and which rows have one that is not in the spec.

        Args:
            column: float64, or texts by `values`; (rows,).
            label: the fitted label.

        Returns:
            labels of type `dtype`, (rows, *`get_label_shape`), and bool (rows,).
        """
        numbers = (column.to_numpy() - label.center) / label.scale
        return numbers.astype(np.float32), np.zeros(len(numbers), bool)

    def name_classes(self, label: FittedLabel) -> tuple[str, ...]:
        """Return the names by which class weights are given, in the order of the labels' values."""
        return label.classes

    def name_bins(self, label: FittedLabel, max_classes: int) -> tuple[str, ...]:
        """Return the names of the bins of labels and predictions; empty for numbers.

        Args:
            label: the fitted label.
            max_classes: classes that have a bin of their own; the others share one.
        """
        return (*self.first_bins, *label.classes[:max_classes], "other") if label.classes else ()

    def bin_labels(self, label: np.ndarray) -> np.ndarray:
        """Return what a histogram counts of labels: numbers, or positions in `name_bins`."""
        return label

    # --- the network ------------------------------------------------------------------------------
    @abstractmethod
    def make_row_losses(self, label_smoothing: float = 0.0) -> RowLosses:
        """Return the function from labels and logits, tensors, to a loss per row, (batch,).

        Args:
            label_smoothing: share of the label that is spread over all classes (Szegedy et al.
                2016, arXiv:1512.00567). Of a binary label, and of each of several labels, 1 becomes
                1 - share / 2, and 0 becomes share / 2.
        """

    @abstractmethod
    def compute_own_losses(self, predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
        """Return the loss of `make_row_losses` from predictions, float64 (rows,).

        Args:
            predicted: the model's output: (rows,), or (rows, classes).
            truth: labels as the dataset has them.

        Returns:
            of several labels a row, (rows, labels): the loss of a row is their mean.
        """

    def compute_mean_loss(self, predicted: np.ndarray, truth: np.ndarray) -> float:
        """Return the mean of `compute_own_losses`."""
        return float(np.mean(self.compute_own_losses(predicted, truth)))

    @abstractmethod
    def validate_predictions(
        self, truth: np.ndarray, predicted: np.ndarray, label: FittedLabel
    ) -> dict[str, float]:
        """Return the `validation_metrics` except the loss, in float64.

        Args:
            truth: labels as the dataset has them.
            predicted: the model's output: (rows,), or (rows, classes).
            label: the fitted label.
        """

    def list_validation_means(
        self, truth: np.ndarray, predicted: np.ndarray, label: FittedLabel
    ) -> Mapping[str, np.ndarray] | None:
        """Return the `validation_metrics` that are means of numbers of rows, each (rows,).

        With them, the loss and `validation_curve`, ranks need not gather their rows. None where
        there are others.

        Args:
            truth, predicted, label: see `validate_predictions`.
        """
        return None

    # --- the prediction ---------------------------------------------------------------------------
    def convert_output(self, output: np.ndarray, label: FittedLabel) -> np.ndarray:
        """Return the network's output as users get it: probabilities, or numbers in their unit."""
        return output

    def find_prediction_range(self, output: np.ndarray) -> tuple[float, float]:
        """Return the lowest and the highest value of a histogram of predictions without names.

        Args:
            output: converted output of some rows, (rows,).
        """
        return 0.0, 1.0

    def bin_predictions(self, output: np.ndarray, threshold: float) -> np.ndarray:
        """Return what a histogram counts of predictions: numbers, or positions in `name_bins`.

        Args:
            output: converted output, (rows,) or (rows, classes).
            threshold: of kinds that have one.
        """
        return output

    @abstractmethod
    def predict_columns(
        self, output: np.ndarray, label: FittedLabel, threshold: float
    ) -> dict[str, pa.Array]:
        """Return the columns that scoring and the served model return, as Arrow.

        Args:
            output: converted output, float64 (rows,) or (rows, classes).
            label: the fitted label.
            threshold: of kinds that have one.
        """

    @abstractmethod
    def record_golden(
        self, output: np.ndarray, label: FittedLabel, tolerance: float
    ) -> dict[str, pa.Array]:
        """Return the predictions to record, with which a loaded model is compared.

        Args:
            output: converted output of the recorded rows.
            label: the fitted label.
            tolerance: by how much probabilities may differ by rounding.
        """

    # --- evaluation -------------------------------------------------------------------------------
    def is_higher_better(self, metric: str) -> bool:
        """Return whether a higher value of one of `metrics`, `loss_metrics` or lists is better."""
        return self.find_direction(metric) == "higher"

    def find_direction(self, metric: str) -> Direction | None:
        """Return which way a metric is better; None where neither way is."""
        if is_ranking_metric(metric):
            return "higher"
        return {**self.loss_metrics, **self.metrics}.get(metric)

    def align_output(
        self, output: np.ndarray, label: FittedLabel, other_label: FittedLabel
    ) -> np.ndarray:
        """Return another model's output as if it had been trained on this label.

        Args:
            output: of the other model.
            label: the label whose rows the output is scored on.
            other_label: the label that the other model was trained on, in the same unit.
        """
        return output

    def make_scorer(
        self, rows: Mapping[str, np.ndarray], label: FittedLabel, threshold: float
    ) -> Scorer:
        """Return the scorer of predictions that were gathered from all ranks.

        Args:
            rows: `label`, the model's output under its own name, `baseline` where there is one, and
                `ranking.LIST` where rows are in lists.
            label: the fitted label, with the loss that the model was trained with.
            threshold: of kinds that have one.

        Raises:
            ModelError: a prediction is not finite, or there is no row.
        """
        scorer = self.make_own_scorer(rows, label, threshold)
        if label.loss:
            scorer = label.loss.extend_scorer(scorer, rows, self, label)
        if label.cutoffs and LIST in rows:
            scorer = RankingScorer(scorer, rows, rows[self.output], label.cutoffs)
        return scorer

    @abstractmethod
    def make_own_scorer(
        self, rows: Mapping[str, np.ndarray], label: FittedLabel, threshold: float
    ) -> Scorer:
        """Return the scorer of the kind's own metrics, whatever the loss; see `make_scorer`."""

    def predict_constant(
        self, truth: np.ndarray, weight: np.ndarray, label: FittedLabel
    ) -> np.ndarray:
        """Return the constant output with the smallest mean loss: what is known without features.

        Args:
            truth: labels as the dataset has them, normally those of the train split.
            weight: of the rows, float64 (rows,), not all 0; their sample weights where the training
                is weighted.
            label: the fitted label, with the loss that the model is trained with.

        Returns:
            an output as the model gives it, before `convert_output`: float64 (), or (classes,).
        """
        if label.loss is not None:
            return label.loss.predict_constant(truth, weight, self, label)
        return self.predict_own_constant(truth, weight, label)

    def predict_own_constant(
        self, truth: np.ndarray, weight: np.ndarray, label: FittedLabel
    ) -> np.ndarray:
        """Return the constant of the kind's own loss: the mean; see `predict_constant`."""
        return np.asarray(weight @ truth.astype(np.float64) / weight.sum())

    def find_equal_labels(
        self,
        truth: np.ndarray,
        label: FittedLabel,
        other_truth: np.ndarray,
        other_label: FittedLabel,
    ) -> np.ndarray:
        """Return which rows have equal labels in two datasets, bool (rows,).

        Args:
            truth, label: labels as the first dataset has them, and what they mean there.
            other_truth, other_label: labels of the same rows in the second dataset.
        """
        same = truth == other_truth
        return same.all(axis=1) if same.ndim == 2 else same

    @abstractmethod
    def measure_strength(
        self, truth: np.ndarray, guess: np.ndarray, fitted_truth: np.ndarray
    ) -> float:
        """Return how well a guess predicts the label, 0 to 1.

        Args:
            truth, guess: labels and guesses of the rows that it is measured on.
            fitted_truth: labels of the rows that the guess was fitted on.
        """


def clip_probability(probability: np.ndarray) -> np.ndarray:
    """Return float64 probabilities whose logarithm is finite."""
    return np.clip(probability.astype(np.float64), _EPSILON, 1 - _EPSILON)
