"""The recipe: its stages' settings, and the whole.

One frozen pydantic model a section, unknown keys refused. Only shapes, types and ranges of single
keys live here and in the files beside it (`lake_sections`, `feature_sections`, `model_sections`).
What two keys together make impossible is in `checks.py`; where the values come from (YAML,
variables, overrides) is in `load.py`.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from pipelines.recipe.base import Name, Section
from pipelines.recipe.feature_sections import *
from pipelines.recipe.feature_sections import Derivation, Feature
from pipelines.recipe.lake_sections import *
from pipelines.recipe.lake_sections import Clean, Increments, Label, Source, Split
from pipelines.recipe.model_sections import *
from pipelines.recipe.model_sections import Model


class Dataset(Section):
    """Where the prepared dataset's versions live and how their files are cut."""

    path: Annotated[str, Field(min_length=1)]
    rows_per_file: Annotated[int, Field(ge=1)] = 65_536
    rows_per_row_group: Annotated[int, Field(ge=1)] = 8_192


class Optimizer(Section):
    """How gradients become updates; the learning rate is fixed."""

    kind: Literal["adam", "sgd"] = "adam"
    learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.001
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0


class EarlyStopping(Section):
    """Stop when the validation metric has not improved for `patience` epochs; keep the best."""

    metric: Literal["roc_auc", "accuracy", "mae", "loss"] = "loss"
    """roc_auc is of a binary label, accuracy of binary and classes, mae of regression."""
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
    block_rows: Annotated[int, Field(ge=1)] | None = None
    """Rows of a shard that are mixed with each other; by default 16,384, or fewer where rows are
    wide (16 MiB). A rank holds about two blocks for each of the shards that it owns."""
    last_batch: Literal["pad", "drop"] = "pad"
    """What becomes of train rows that do not fill a batch: filled up with rows of weight 0, or left
    out, other rows in every epoch. Validation and test are always padded."""
    cache: Literal["memory", "disk"] | None = None
    """Keep row groups that were read, for datasets in an object store. A rank has a memory of its
    own; the disk (below the workdir) is shared by the ranks of a host."""
    cache_bytes: Annotated[int, Field(ge=2**20)] = 4 * 2**30
    """Size of the cache; what was used longest ago makes room."""


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
    increments: Increments = Increments()
    model: Model
    train: Train = Train()
    stream: Stream = Stream()
    evaluate: Evaluate = Evaluate()
    tracking: Tracking = Tracking()
    spark: Spark = Spark()

    def resolved(self) -> dict[str, Any]:
        """Every key with its value in force, defaults included, as plain YAML types."""
        return self.model_dump(mode="json")
