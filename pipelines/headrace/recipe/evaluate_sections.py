"""The recipe's keys about judging a model: threshold, slices, gates."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from headrace.recipe.base import declare_later_key
from headrace.recipe_section import Count, Finite, NotNegative, Positive, Section, Text

EXACT_ROWS = 500_000
"""Rows of a split up to which its metrics are exact: on one core 6 s of 200 draws, on rank 0 alone
about 100 MB."""
MAX_SLICES = 1000
"""Values of a column, or combinations of several, that are slices of their own."""

Probability = Annotated[float, Field(gt=0, lt=1)]


class MaxF1(Section):
    """The threshold with the highest F1 on the validation split."""

    choose: Literal["max_f1"]


class TargetPrecision(Section):
    """The highest recall among thresholds with this precision on the validation split."""

    choose: Literal["precision"]
    at_least: Probability


class TargetRecall(Section):
    """The highest precision among thresholds with this recall on the validation split."""

    choose: Literal["recall"]
    at_least: Probability


Choice = MaxF1 | TargetPrecision | TargetRecall


def _kind_of_threshold(value: Any) -> str:
    if isinstance(value, dict):
        return str(value.get("choose"))
    return str(getattr(value, "choose", "number"))


Threshold = Annotated[
    Annotated[Probability, Tag("number")]
    | Annotated[MaxF1, Tag("max_f1")]
    | Annotated[TargetPrecision, Tag("precision")]
    | Annotated[TargetRecall, Tag("recall")],
    Discriminator(_kind_of_threshold),
]


class Slice(Section):
    """Rows told apart by the raw values of columns: of features, or of `dataset.keep`."""

    columns: Annotated[list[Text], Field(min_length=1, max_length=3)]
    """Of several columns, every combination of their values is a slice."""
    buckets: Annotated[list[int | Finite | Text], Field(min_length=1)] | None = None
    """Limits between buckets, rising: numbers, or of a column of times ISO dates or times (in UTC
    where they name no zone). A value at a limit is in the bucket above it. By default one slice for
    each value, of times for each day, and of numbers that have more than 50 values five buckets of
    about as many rows each."""


class Ranking(Section):
    """Lists of rows that are ranked by their score: the metrics `ndcg_at_K` and `recall_at_K` of
    the test split, of a binary label.

    They are means over lists. Lists without a positive row, or of one row, and rows without a value
    of the column are counted and left out. With lists the bootstrap draws lists, for all metrics.
    """

    columns: Annotated[list[Text], Field(min_length=1, max_length=3)]
    """Rows of equal values are a list: features, or columns of `dataset.keep`, such as a user, a
    query or a session."""
    at: Annotated[list[Count], Field(min_length=1)] = [10]
    """Places of a list that are looked at, one for each metric."""


class MetricGate(Section):
    """A metric of the test split has to be at least, or at most, so much.

    at_least is for metrics of which higher values are better, at_most for the others; either is for
    numbers of which neither way is better (bias, rows, positives).
    """

    kind: Literal["metric"]
    metric: Text
    at_least: Finite | None = None
    at_most: Finite | None = None


class SliceGate(Section):
    """The same for every slice that has enough rows."""

    kind: Literal["slice"]
    columns: Annotated[list[Text], Field(min_length=1, max_length=3)]
    """One of `evaluate.slices`."""
    metric: Text
    at_least: Finite | None = None
    at_most: Finite | None = None


class ChampionGate(Section):
    """Not worse than the champion on the same rows, or better by a negative number.

    Judged by the lower end of a paired bootstrap interval of the difference: what is passed is
    shown not to be worse by more than that, at the confidence that is asked for. Both have to
    predict the same label, and the rows are test rows that neither was trained on, or chosen by.
    """

    kind: Literal["champion"]
    metric: Text
    not_worse_by: Finite
    """In the metric's own unit."""
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """One-sided."""
    min_rows: Count = declare_later_key(30)
    """Of fewer rows than that (of a weight above 0, where rows are weighted) the gate knows
    nothing, and fails."""
    replaces: Annotated[int, Field(ge=1)] | None = declare_later_key(None)
    """Version of the champion that may be replaced although there is no comparison, because it
    predicts another label, for example. It is compared all the same where that is possible, and so
    is any other champion."""


class BaselineGate(Section):
    """Better than a reference on the same rows, or not much worse.

    Judged as a champion gate is. With neither `better_by` nor `not_worse_by` the model has to be
    better by anything above 0.
    """

    kind: Literal["baseline"]
    against: Literal["constant", "tree", "label.baseline"]
    """The best constant of the train split; scikit-learn's gradient-boosted trees on the prepared
    columns, see `evaluate.references`; or what `label.baseline` says."""
    metric: Text
    better_by: NotNegative = 0.0
    """By more than so much, in the metric's own unit."""
    not_worse_by: NotNegative | None = None
    """In place of `better_by`: at most so much worse."""
    confidence: Probability = 0.95
    """One-sided. Below 0.5 the gate fails only where the model is shown not to reach the limit: at
    0.05 and `not_worse_by: 0`, where it is shown to be worse at 0.95."""


class LatencyGate(Section):
    """Time of one prediction of the model with raw rows, in a process of its own."""

    kind: Literal["latency"]
    at_most_milliseconds: Positive
    rows: Count = 1
    """Rows of a request."""
    percentile: Annotated[float, Field(gt=0, le=100)] = 95


class SizeGate(Section):
    """Size of the model's files."""

    kind: Literal["size"]
    at_most_megabytes: Positive


Gate = Annotated[
    MetricGate | SliceGate | ChampionGate | BaselineGate | LatencyGate | SizeGate,
    Field(discriminator="kind"),
]


class Leakage(Section):
    """Features that say too much of the label by themselves fail the verdict."""

    limit: Annotated[float, Field(gt=0, le=1)] | None = None
    """Strength from which a single feature is suspicious: of a binary label 2 AUC - 1, of several
    labels that of the one it says most of, of classes the share of the errors of always naming the
    most frequent class that it avoids, of a regression R². By default 0.95, of a regression
    0.995."""
    allow: list[Text] = []
    """Features that may be as strong as that, because they are known at the moment of prediction
    all the same."""


class Evaluate(Section):
    """Evaluation on the test split: metrics, slices and gates."""

    threshold: Threshold = 0.5
    """Of a binary label: probability from which a row counts as positive, or how it is chosen; of
    multi_label that of every label, chosen on all of them together. What is chosen is part of the
    registered model."""
    metric: Text | None = None
    """By which slices and features are ordered; roc_auc, accuracy, f1_micro or mae by default."""
    weighted: bool = False
    """Whether rows weigh as `label.sample_weight` and class weights say, or all the same: in
    metrics, gates, tables and plots, and where the threshold is chosen."""
    bootstrap: Annotated[int, Field(ge=0)] = 200
    """Resamples for intervals; 0 makes none, and no champion or baseline gate can be judged."""
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """Of the intervals, two-sided."""
    seed: Annotated[int, Field(ge=0)] = 0
    slices: list[Slice] = []
    ranking: Ranking | None = declare_later_key(None)
    min_rows: Count = 100
    """Slices of fewer rows are marked, and no gate looks at them."""
    importance_rows: Annotated[int, Field(ge=0)] = 20_000
    """Test rows on which the importance of features is measured; 0 measures none. Of more than a
    hundred features fewer rows, 2,000,000 divided by their number, and 500 at least."""
    leakage: Leakage = Leakage()
    gates: list[Gate] | None = None
    """What a model has to reach to be promoted. Left out: predictions are finite, and better than
    the constant (by log_loss, poisson_deviance or rmse, at 0.95); where no threshold was chosen,
    decisions are not shown to be worse either (accuracy or hamming_loss). `[]`: none, and nothing
    is judged but leakage."""
    references: list[Literal["constant", "tree"]] = declare_later_key(["constant", "tree"])
    """What is shown beside the model: the best constant of the train split, and gradient-boosted
    trees on the prepared numbers and ids (not of images, texts and series, nor of multi_label).
    They are fitted once per dataset version, under the weights that `weighted` says."""
    max_slices: Count = declare_later_key(MAX_SLICES)
    """Values of a slice's columns that have metrics of their own, the most frequent ones. All rows
    of rarer values are one slice, and the report says how many values and rows it has."""
    exact_rows: Count = declare_later_key(EXACT_ROWS)
    """Rows of a split up to which metrics are computed from all of them at once, on rank 0. Of more
    rows, a condition's and a number's metrics are of sums and of histograms of scores that ranks
    add up, and each says by how much the exact one may differ; in training, those of an epoch."""
    worst_rows: Annotated[int, Field(ge=0, le=200)] = declare_later_key(20)
    """Test rows of the highest loss that the report shows with their raw values; 0 shows none."""
    reference_rows: Annotated[int, Field(ge=1)] | None = declare_later_key(None)
    """Train rows that the trees are fitted on, at most; by default 131,072, or fewer where there
    are more than 256 columns (2^25 values)."""
