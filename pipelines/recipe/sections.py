"""The recipe's keys: one frozen pydantic model a section, unknown keys refused.

Only shapes, types and ranges of single keys live here. What two keys together make impossible is
in `checks.py`; where the values come from (YAML, variables, overrides) is in `load.py`.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Fraction = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """Base of every section: immutable, strict about types, closed to unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Table(Section):
    """One raw table of the lake."""

    path: Annotated[str, Field(min_length=1)]
    """Folder or file; relative paths are taken from the working directory."""
    format: Literal["parquet"] = "parquet"
    partitions: str | None = None
    """SQL condition on partition columns, for example `month >= 6`; the rest is not read."""


class Join(Section):
    """A lookup of columns in another table, at most one row a key, rows without a match kept."""

    table: Name
    key: Annotated[list[str], Field(min_length=1)]
    columns: Annotated[dict[str, str], Field(min_length=1)]
    """New column name -> column of the joined table."""


class Source(Section):
    """Which tables there are and how they become one row a training example."""

    tables: Annotated[dict[Name, Table], Field(min_length=1)]
    main: Name
    """The table whose rows are counted by the ledger; joins only add columns to it."""
    joins: list[Join] = []


class Dedup(Section):
    """Keep one row a key."""

    key: Annotated[list[str], Field(min_length=1)]
    latest_by: str | None = None
    """Keep the row with the largest value here; ties and `None` are settled by the whole row."""


class Clean(Section):
    """Which rows may pass."""

    dedup: Dedup | None = None


class Label(Section):
    """What is predicted."""

    expression: Annotated[str, Field(min_length=1)]
    """Spark SQL over the main table's and joined columns; rows where it is null are filtered."""
    kind: Literal["binary"] = "binary"


class Fractions(Section):
    """Share of split keys (not rows) a split gets; they add up to 1."""

    train: Fraction
    validation: Fraction
    test: Fraction


class Split(Section):
    """Where a row belongs: a pure function of its key and the seed."""

    key: Annotated[list[str], Field(min_length=1)]
    """Rows with equal values here always share a split, for example the calendar day."""
    fractions: Fractions = Fractions(train=0.8, validation=0.1, test=0.1)
    seed: Annotated[int, Field(ge=0)] = 0


class DayOfWeek(Section):
    """1 (Monday) to 7 (Sunday) of the date in integer columns year, month, day; else missing."""

    kind: Literal["day_of_week"]
    columns: Annotated[list[str], Field(min_length=3, max_length=3)]


class HourOfDay(Section):
    """Hour of a clock time written as an integer HHMM, for example 517 -> 5."""

    kind: Literal["hour_of_day"]
    columns: Annotated[list[str], Field(min_length=1, max_length=1)]


class MinuteOfDay(Section):
    """Minutes since midnight of a clock time written as an integer HHMM, for example 517 -> 317."""

    kind: Literal["minute_of_day"]
    columns: Annotated[list[str], Field(min_length=1, max_length=1)]


class Difference(Section):
    """First column minus the second; missing where either is."""

    kind: Literal["difference"]
    columns: Annotated[list[str], Field(min_length=2, max_length=2)]


Derivation = Annotated[
    DayOfWeek | HourOfDay | MinuteOfDay | Difference, Field(discriminator="kind")
]


class Standardize(Section):
    """(x - mean) / standard deviation of the train split; missing values become the mean."""

    kind: Literal["standardize"]
    column: str | None = None
    """Raw or derived numeric column; the feature's own name where it is left out."""


class Vocabulary(Section):
    """Ids ordered by count then value on the train split; 0 is missing, 1 is out of vocabulary."""

    kind: Literal["vocabulary"]
    column: str | None = None
    min_count: Annotated[int, Field(ge=1)] = 1
    max_size: Annotated[int, Field(ge=1)] | None = None


class Hash(Section):
    """Fingerprint64 of the text modulo `buckets`, plus 1; 0 is missing."""

    kind: Literal["hash"]
    column: str | None = None
    buckets: Annotated[int, Field(ge=2, le=2**31 - 2)]


Feature = Annotated[Standardize | Vocabulary | Hash, Field(discriminator="kind")]


class Dataset(Section):
    """Where the prepared dataset's versions live and how their files are cut."""

    path: Annotated[str, Field(min_length=1)]
    rows_per_file: Annotated[int, Field(ge=1)] = 65_536
    rows_per_row_group: Annotated[int, Field(ge=1)] = 8_192


class Mlp(Section):
    """Dense layers over the numeric features and one embedding a categorical feature."""

    kind: Literal["mlp"]
    hidden: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)] = [128, 64]
    activation: Literal["relu", "gelu", "tanh", "sigmoid", "elu", "selu", "silu"] = "relu"
    initializer: Literal[
        "glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "lecun_normal"
    ] = "glorot_uniform"
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    l1: Annotated[float, Field(ge=0)] = 0.0
    l2: Annotated[float, Field(ge=0)] = 0.0
    embedding_width: Annotated[int, Field(ge=1)] = 16
    """Largest width; a categorical of n ids gets the smaller of this and ceil(sqrt(n))."""


Model = Mlp


class Optimizer(Section):
    """How gradients become updates; the learning rate is fixed."""

    kind: Literal["adam", "sgd"] = "adam"
    learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.001
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0


class EarlyStopping(Section):
    """Stop when the validation metric has not improved for `patience` epochs; keep the best."""

    metric: Literal["roc_auc", "loss"] = "roc_auc"
    patience: Annotated[int, Field(ge=1)] = 3


class Train(Section):
    """How the model is fitted."""

    epochs: Annotated[int, Field(ge=1)] = 10
    global_batch_size: Annotated[int, Field(ge=1)] = 1024
    """Rows a step over all ranks."""
    ranks: Annotated[int, Field(ge=1)] = 2
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    optimizer: Optimizer = Optimizer()
    early_stopping: EarlyStopping | None = None
    threads_per_rank: Annotated[int, Field(ge=1)] = 1
    """TensorFlow compute threads a rank; 1 makes a CPU run repeatable bit for bit."""
    collective_timeout: Annotated[int, Field(ge=1)] = 60
    """Seconds the ranks wait for one that is frozen or cut off (Gloo's own timeout)."""


class Stream(Section):
    """How prepared rows reach the ranks."""

    canonical_shards: Annotated[int, Field(ge=1)] = 64
    """Equal streams a split is cut into, whatever the number of ranks; 64 serves 1 to 64 ranks."""
    shuffle: bool = True
    readers: Annotated[int, Field(ge=1)] = 1
    """Reader threads a rank; decoding releases the interpreter lock."""


class Evaluate(Section):
    """How the model is judged on the test split."""

    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Probability from which a row counts as positive."""


class Tracking(Section):
    """Where runs and models are recorded."""

    uri: str | None = None
    """MLflow tracking URI; by default MLFLOW_TRACKING_URI, else SQLite under the workdir."""
    experiment: Annotated[str, Field(min_length=1)] | None = None
    """MLflow experiment; the recipe's name where it is left out."""
    registered_model: Annotated[str, Field(min_length=1)] | None = None
    """Name in the model registry; the recipe's name where it is left out."""


class Spark(Section):
    """Settings for the Spark session that a stage starts (under spark-submit: the defaults)."""

    master: str = "local[*]"
    """Used where the job was not started by spark-submit."""
    conf: dict[str, str | int | float | bool] = {}


class Recipe(Section):
    """One pipeline, resolved: variables replaced, overrides applied."""

    name: Name
    lake: Annotated[str, Field(min_length=1)] | None = None
    """The lake's folder or URL, for use as `${lake}` in table paths."""
    source: Source
    clean: Clean = Clean()
    label: Label
    split: Split
    unavailable: list[str] = []
    """Columns known only after the moment of prediction; no feature may use them."""
    derive: dict[Name, Derivation] = {}
    features: Annotated[dict[Name, Feature], Field(min_length=1)]
    dataset: Dataset
    model: Model
    train: Train = Train()
    stream: Stream = Stream()
    evaluate: Evaluate = Evaluate()
    tracking: Tracking = Tracking()
    spark: Spark = Spark()

    def resolved(self) -> dict[str, Any]:
        """Every key with its value in force, defaults included, as plain YAML types."""
        return self.model_dump(mode="json")
