"""The recipe: its stages' settings, and the whole.

One frozen pydantic model a section, unknown keys refused. Only shapes, types and ranges of single
keys live here and in the files beside it (`lake_sections`, `feature_sections`, `model_sections`).
What two keys together make impossible is in `checks.py`; where the values come from (YAML,
variables, overrides) is in `load.py`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr

from headrace.errors import Problem
from headrace.labels.kinds import ValidationMetric
from headrace.recipe.base import declare_later_key
from headrace.recipe.evaluate_sections import *
from headrace.recipe.evaluate_sections import Evaluate
from headrace.recipe.feature_sections import *
from headrace.recipe.feature_sections import Derivation, Feature
from headrace.recipe.lake_sections import *
from headrace.recipe.lake_sections import Clean, Increments, Label, Source, Split
from headrace.recipe.lines import KeyLines
from headrace.recipe.model_sections import *
from headrace.recipe.model_sections import Model
from headrace.recipe.schedule_sections import *
from headrace.recipe.schedule_sections import RunSchedule
from headrace.recipe.train_sections import *
from headrace.recipe.train_sections import Train
from headrace.recipe_section import IndexLimit, Name, Section, ShareLimit, Text


class Dataset(Section):
    """The prepared dataset: where its versions live and how large its files are."""

    path: Annotated[str, Field(min_length=1)]
    rows_per_file: Annotated[int, Field(ge=1)] = 65_536
    """About how many; fewer where they would be more than 128 MiB, of 10 bytes a raw column (from
    205 columns on), which `prepare` then says."""
    rows_per_row_group: Annotated[int, Field(ge=1)] | Literal["auto"] = 8_192
    """Rows of a Parquet row group, which is what a reader reads at once. `auto`: as many as have 4
    MiB in the columns that are trained on, or a file's rows where those are fewer; so a large
    dataset of narrow rows has few row groups to plan, and one of images no huge ones. The order of
    rows in training follows from it: a changed value changes the batches of rows that are written
    from then on."""
    keep: list[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]] = []
    """Raw columns that lie beside the features, as they were read; `evaluate.slices` may name them.
    Training does not read them. Those of features lie beside the test rows without being named."""
    raw_examples: Annotated[int, Field(ge=0)] = 64
    """Raw rows that go with the dataset, and with every model: what a registered model is to make
    of them is recorded, and compared before it is promoted. 0 keeps none of the lake's, nor the
    sample that statistics of later versions are computed from; rows are made up then."""
    catalog_table: Text | None = None
    """Name in Spark's catalog, for example `ml.flights`, under which the dataset is registered as a
    Delta table once it is published. Spark needs Delta's JAR for that, and starts on nights without
    a change as well."""


class Stream(Section):
    """The stream of prepared rows to the ranks."""

    engine: Literal["petastorm", "pyarrow"] = "petastorm"
    """What reads the files: Petastorm, or pyarrow alone, for which Petastorm need not be installed.
    Plan, batches, accounts and errors are the same, so that checkpoints are continued under
    either."""
    canonical_shards: Annotated[int, Field(ge=1)] | None = None
    """Equal streams a split is cut into, whatever the number of ranks, which has to divide it. By
    default 64, and down to 16 for splits of few rows; a power of two that divides the batch."""
    shuffle: bool = True
    readers: Annotated[int, Field(ge=1)] = 1
    """Reader threads per rank; decoding releases the interpreter lock."""
    block_rows: Annotated[int, Field(ge=1)] | None = None
    """Rows of a shard that are mixed with each other; by default 16,384, or fewer where rows are
    wide (16 MiB). A rank holds about two blocks for each of the shards that it owns."""
    memory: int | None = declare_later_key(None, ge=2**20)
    """Bytes that row groups, blocks and batches of a stream may take on all ranks together. Where
    row groups are large, shards become fewer and blocks shorter until they fit; that is another
    order of rows, the same at any number of ranks. About a third is read before the first batch. By
    default 64 shards have blocks of 16 MiB, or of a row group where that is larger."""
    last_batch: Literal["pad", "drop"] = "pad"
    """What becomes of train rows that do not fill a batch: filled up with rows of weight 0, or left
    out, other rows in every epoch. Validation and test are always padded."""
    cache: Literal["memory", "disk"] | None = None
    """Keep row groups that were read, for datasets in an object store. A rank has a memory of its
    own; the disk (below the workdir) is shared by the ranks of a host."""
    cache_bytes: Annotated[int, Field(ge=2**20)] = 4 * 2**30
    """Size of the cache; what was used longest ago makes room."""


class Score(Section):
    """Scoring of new rows."""

    key: Annotated[list[str], Field(min_length=1)] | None = None
    """Raw columns that say which row a prediction is of; `clean.dedup.key` by default."""
    columns: list[str] = []
    """Further raw columns that are written beside the predictions."""
    moved_tables: list[Name] = []
    """Joined tables that lie elsewhere than those that the model was trained with. Every other
    difference of joins, column types, windows and rules from the model's own is refused."""
    batch_rows: Annotated[int, Field(ge=1)] = 65_536
    """Rows of one prediction at most; fewer where lists and images make them wide."""
    rows_per_file: Annotated[int, Field(ge=1)] = 1_000_000
    """Of the predictions."""
    max_psi: IndexLimit = 0.2
    """Of numbers and predictions: population stability index from which they count as drifted."""
    max_distance: ShareLimit = 0.1
    """Of ids and classes: difference of a value's share from which they count as drifted."""
    max_unknown: ShareLimit = 0.05
    """Of vocabularies: rise of the share of unknown values, likewise."""
    on_drift: Literal["report", "fail"] = "report"
    """fail publishes no predictions of rows that drifted."""
    catalog_table: Text | None = None
    """Name in Spark's catalog under which the predictions are registered, as the dataset is under
    `dataset.catalog_table`."""


class Tracking(Section):
    """The MLflow store of runs and models."""

    uri: str | None = None
    """MLflow tracking URI; by default MLFLOW_TRACKING_URI, else SQLite under the workdir."""
    registry_uri: str | None = None
    """MLflow registry URI, such as databricks-uc; by default MLFLOW_REGISTRY_URI, else `uri`."""
    experiment: Annotated[str, Field(min_length=1)] | None = None
    """MLflow experiment; by default MLFLOW_EXPERIMENT_NAME, else the recipe's name."""
    registered_model: Annotated[str, Field(min_length=1)] | None = None
    """Name in the model registry; the recipe's name where it is left out."""
    every_steps: Annotated[int, Field(ge=1)] | None = 100
    """Steps of training after which loss and learning rate are logged, beside each epoch's."""
    system_metrics: bool = True
    """Log processor, memory, disk, network and GPU of rank 0's host every ten seconds."""


class SearchRange(Section):
    """Numbers that are tried for a key; integers where `low`, `high` and `step` are."""

    low: int | float
    high: int | float
    step: int | float | None = None
    log: bool = False
    """Try as many from 0.001 to 0.01 as from 0.01 to 0.1."""


class Choices(Section):
    """Values that are tried for a key, of any type."""

    choices: Annotated[list[Any], Field(min_length=1)]


class Tune(Section):
    """The search of `headrace tune`."""

    trials: Annotated[int, Field(ge=1)] = 20
    metric: ValidationMetric = "loss"
    """Of the validation split."""
    parameters: dict[str, SearchRange | Choices] = {}
    """Dotted key of the recipe -> what is tried for it."""
    pruning: bool = True
    """End trials that are worse than others were by the same epoch."""
    pruner: Literal["auto", "median", "asha"] = declare_later_key("auto")
    """`median`: a trial ends that is worse than half of the others. `asha`: after 1, 3, 9 … epochs
    the best third goes on, which needs no trial to wait for another one (Li et al. 2020,
    arXiv:1810.05934). `auto`: asha where trials run in parallel."""
    parallel: Annotated[int, Field(ge=1)] = declare_later_key(1)
    """Trials at a time, each in processes of its own; no more than cores and GPUs allow. What is
    drawn then depends on which trial ends first."""
    seed: Annotated[int, Field(ge=0)] = 0


class Spark(Section):
    """Settings for the Spark session that a stage starts (under spark-submit: the defaults)."""

    master: str = "local[*]"
    """Used where the job was not started by spark-submit, and no server is named."""
    remote: str | None = None
    """A server of Spark Connect, `sc://host:port` (docs/spark-connect.md), in place of a Spark that
    is started here. Where the recipe has none, SPARK_REMOTE in the environment may name one."""
    conf: dict[str, str | int | float | bool] = {}
    above_rows: Annotated[int, Field(ge=0)] = declare_later_key(10_000_000)
    """`prepare` and `score` go without Spark where no more rows than these are read, from plain
    files on this machine, and the recipe wants nothing that only Spark does
    (docs/without-spark.md): the same rows in a fraction of the time. 0: always with Spark."""


@dataclass(frozen=True)
class SourceLines:
    """Where a recipe was read; all are equal, because it is no part of a recipe.

    Attributes:
        keys: lines of keys in the recipe's file.
        folder: of the file; "" where there is none.
    """

    keys: KeyLines = field(default_factory=KeyLines, compare=False)
    folder: str = field(default="", compare=False)


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
    score: Score = Score()
    tracking: Tracking = Tracking()
    tune: Tune = Tune()
    schedule: RunSchedule | None = None
    """When it runs by itself; commands don't look at it."""
    spark: Spark = Spark()
    _lines: SourceLines = PrivateAttr(default_factory=SourceLines)

    def get_line(self, key: str) -> int | None:
        """Return the line of a key in the recipe's file, see `KeyLines.find_line`."""
        return self._lines.keys.find_line(key)

    def locate(self, problems: Iterable[Problem]) -> list[Problem]:
        """Return problems of this recipe with the lines of their keys."""
        return self._lines.keys.locate(problems)

    @property
    def folder(self) -> str:
        """Return the folder of the recipe's file; "" where it was not read from a file."""
        return self._lines.folder

    def with_lines(self, keys: KeyLines, folder: str = "") -> "Recipe":
        """Return the recipe with what its file says about it; it equals the one without.

        Args:
            keys: their lines.
            folder: of the file.
        """
        copy = self.model_copy()
        copy._lines = SourceLines(keys, folder)
        return copy

    def dump_resolved(self) -> dict[str, Any]:
        """Every key with its value in force, defaults included, as plain YAML types."""
        return self.model_dump(mode="json")
