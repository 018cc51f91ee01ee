"""Hold the fitted transform as plain values: what `transform.json` is, and nothing that runs.

What it means is binding for every execution of a spec, and is said where it is computed: kinds of
raw columns and what is missing of them in `columns.values`, features in the modules of `features`,
the label in those of `labels`. Derived columns are computed from raw ones in int64 or float64
arithmetic; missing in, missing out. Calendar fields are those of the proleptic Gregorian calendar
in UTC, or in the zone whose rules the derived column has.
"""

from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
)

from headrace.columns.values import RawKind
from headrace.errors import DatasetError
from headrace.features.kind import DTYPES, FittedFeature, Form
from headrace.features.kinds import KINDS, get_form
from headrace.features.stored_texts import StoredTexts, TextFiles
from headrace.formats import TRANSFORM
from headrace.labels.losses.loss import Loss
from headrace.labels.spec import LabelSpec
from headrace.transform.rules import FittedRule, LeftOutRule, select_rejecting_rules
from headrace.transform.time_zone import FittedZone

StoredAs = Literal[
    "boolean", "date", "seconds", "milliseconds", "microseconds", "nanoseconds"
]  # fmt: skip
TimePart = Literal["year", "month", "day", "day_of_year", "day_of_week", "hour", "minute", "second"]

if TYPE_CHECKING:
    AnyFittedFeature = FittedFeature
else:
    AnyFittedFeature = Annotated[
        reduce(or_, (kind.fitted for kind in KINDS)), Field(discriminator="kind")
    ]
    """A feature of any kind, told by its `kind`, as pydantic checks it."""


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RawColumn(_Frozen):
    """A column of the raw row that the transform reads."""

    name: str
    kind: RawKind
    nullable: bool
    """Whether the training data had missing values here."""
    stored_as: StoredAs | None = None
    """Of integers that are booleans in the lake, times that are dates, and times that are numbers
    since 1970: what a text, a number or a time of day means depends on it."""


class DerivedColumn(_Frozen):
    """A column computed from raw columns; `derived.py` and `graph_derived.py` have its `op`."""

    name: str
    op: Literal[
        "day_of_week", "hour_of_day", "minute_of_day", "difference", "time_part", "seconds_since"
    ]
    columns: tuple[str, ...]
    part: TimePart | None = None
    """Of `time_part`; day_of_week is 1 (Monday) to 7 (Sunday)."""
    zone: FittedZone | None = None
    """Of `time_part`: where the clock is; None in UTC, and then it is not written."""
    origin: int | None = None
    """Of `seconds_since`: microseconds since 1970-01-01 UTC."""

    @model_serializer(mode="wrap")
    def _leave_out_utc(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # The digest of a transform without zones is what it was before there were any.
        values: dict[str, Any] = serialize(self)
        if self.zone is None:
            values.pop("zone", None)
        return values

    @property
    def kind(self) -> RawKind:
        """Return the kind of its values."""
        return "real" if self.op in ("difference", "seconds_since") else "integer"


@dataclass(frozen=True)
class ModelInput:
    """One input of the model.

    Attributes:
        dtype: float32, int32 or uint8.
        shape: without the batch.
        columns: columns of the dataset that it is made of; several scalars are stacked.
    """

    dtype: str
    shape: tuple[int, ...]
    columns: tuple[str, ...]


class TransformSpec(_Frozen):
    """Everything needed to turn a raw row into what the model reads, and its output into words."""

    format_version: Literal[5] = 5
    raw: tuple[RawColumn, ...]
    derived: tuple[DerivedColumn, ...]
    features: tuple[AnyFittedFeature, ...]
    label: LabelSpec = LabelSpec()
    rules: tuple[FittedRule, ...] | None = ()
    """What acts on raw values before anything else. None: an older Headrace fitted the transform,
    and Spark alone applied the recipe's rules."""
    rule_columns: tuple[RawColumn, ...] = ()
    """Columns that only rules read; a row need not have them, and then these rules are not
    checked."""
    left_out: tuple[LeftOutRule, ...] = ()
    """Rules that acted on the rows of training alone."""

    def select_features(self, *forms: Form) -> tuple[FittedFeature, ...]:
        """Return the features of which a model reads one of these forms, in order."""
        return tuple(feature for feature in self.features if get_form(feature) in forms)

    @property
    def stored_texts(self) -> tuple[StoredTexts, ...]:
        """Return the vocabularies that lie in files beside the transform."""
        values = (getattr(feature, "values", None) for feature in self.features)
        return tuple(texts for texts in values if isinstance(texts, StoredTexts))

    @property
    def text_files(self) -> TextFiles | None:
        """Return what tells where these files lie; None where there are none."""
        return self.stored_texts[0].files if self.stored_texts else None

    @property
    def numeric(self) -> tuple[str, ...]:
        """Return the columns of the float32 matrix, in order."""
        numbers = self.select_features("numbers")
        return tuple(column for feature in numbers for column in feature.dataset_columns)

    @property
    def categorical(self) -> tuple[FittedFeature, ...]:
        """Return the features in the int32 matrix, in column order."""
        return self.select_features("ids")

    @property
    def shaped(self) -> tuple[FittedFeature, ...]:
        """Return the features that are an input of their own, under their own name."""
        return self.select_features("tokens", "series", "image")

    @property
    def inputs(self) -> dict[str, ModelInput]:
        """Return the model's inputs by name.

        `numeric` float32 (numbers,), `categorical` int32 (ids,), and by the feature's name tokens
        int32 (length,), series float32 (length,) and images uint8 (height, width, channels); what
        the spec has none of is left out.
        """
        inputs: dict[str, ModelInput] = {}
        if self.numeric:
            inputs["numeric"] = ModelInput("float32", (len(self.numeric),), self.numeric)
        if self.categorical:
            names = tuple(feature.name for feature in self.categorical)
            inputs["categorical"] = ModelInput("int32", (len(names),), names)
        for feature in self.shaped:
            dtype = DTYPES[get_form(feature)]
            inputs[feature.name] = ModelInput(dtype, feature.shape, (feature.name,))
        return inputs

    @property
    def tensors(self) -> dict[str, RawColumn]:
        """Return raw columns by the name of their tensor.

        TensorFlow takes no spaces, dots or umlauts in a name.
        """
        return {f"raw_{position}": column for position, column in enumerate(self.raw)}

    @property
    def rule_tensors(self) -> dict[str, RawColumn]:
        """Return the columns that only rules read by the name of their tensor."""
        return {f"rule_{position}": column for position, column in enumerate(self.rule_columns)}

    @property
    def rejecting_rules(self) -> tuple[FittedRule, ...]:
        """Return the rules that leave rows without a prediction."""
        return select_rejecting_rules(self.rules or ())

    def with_loss(self, loss: Loss | None) -> "TransformSpec":
        """Return the same transform, of whose label a model is trained with this loss."""
        return self.model_copy(update={"label": self.label.with_loss(loss)})

    def to_json(self) -> str:
        """Return the text of `transform.json`, as of the oldest format that can say it."""
        text = self.model_dump_json(indent=1)
        if self.stored_texts:
            return text
        # The digest of a transform without files is what it was before there were any.
        return text.replace('"format_version": 5', '"format_version": 4', 1)

    @staticmethod
    def from_json(
        text: str, where: str = "transform.json", files: TextFiles | None = None
    ) -> "TransformSpec":
        """Return the spec in a text, of today's format or an older one.

        Args:
            text: what `to_json` wrote, now or then.
            where: its place, for an error.
            files: tells where the files beside it lie; without, a vocabulary in a file has a size
                and no texts.

        Raises:
            DatasetError: it is of a newer format.
            pydantic.ValidationError: it is no spec.
        """
        migrated = TRANSFORM.migrate_text(text, where, DatasetError)
        return TransformSpec.model_validate_json(migrated, context=files)
