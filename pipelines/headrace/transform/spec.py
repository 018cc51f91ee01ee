"""The fitted transform as plain values: what `transform.json` holds, and nothing that runs.

Semantics, binding for every execution of a spec:

Raw columns are of one of these kinds, each with one way to be *missing*:
  integer    int64; null is missing, and so is -2**63, which stands for null in a tensor.
  real       float64; null, NaN and the infinities are missing, subnormal numbers are 0.
  timestamp  int64 microseconds since 1970-01-01 UTC; missing as for integers.
  string     UTF-8; null is missing, the empty string is a value.
  bytes      an image file (PNG or JPEG); null is missing.
  integers, reals, strings
             a list of such values; a null list is an empty one, a null element stays in its place.

Derived columns are computed from raw ones in int64 or float64 arithmetic; missing in, missing out.
Calendar fields are those of the proleptic Gregorian calendar in UTC.

Features are what the model reads:
  scaled      float32((g(x) - center) / scale) with the arithmetic in float64. g clips to `clip`,
              then takes log1p where `log1p` says so (which makes values <= -1 missing); missing
              gives `fill` for g(x). A result beyond float32 is clipped to its largest finite value.
              With `indicator` a second float32 column is 1 where x is missing, else 0.
  cyclic      float32 sin and cos of 2 pi (x mod period) / period; missing gives 0 and 0.
  buckets     int32: 0 missing, 1 + number of boundaries <= x otherwise.
  vocabulary  int32: 0 missing, then `unknown_ids` ids for texts that are not in `values` (the first
              plus fingerprint64 mod their number), then position in `values`. Integers and
              timestamps are looked up by their decimal text. With `fill` missing becomes that text.
  hash        int32: 0 where any column is missing, 1 + fingerprint64(texts joined by 0x1F) mod
              buckets otherwise (FarmHash's Fingerprint64, as in `tf.strings.to_hash_bucket_fast`).
  tokens      int32 (length,): ids of a list's first `length` elements, as in `vocabulary` or, with
              `buckets`, as in `hash`; 0 for null elements and to the end. A string is split first:
              ASCII letters to lower case where `lower`, ASCII punctuation to spaces where
              `strip_punctuation`, then cut at ASCII white space.
  series      float32 (length,): a list's first `length` elements, each as in `scaled`; elements
              that are null or not there are missing.
  image       uint8 (height, width, channels): a decoded image file, or a list of height x width x
              channels integers in that order; zeros where missing.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from headrace.errors import DatasetError
from headrace.formats import TRANSFORM

MISSING_ID = 0
FIRST_UNKNOWN_ID = 1
MISSING_INTEGER = -(2**63)
SEPARATOR = "\x1f"

RawKind = Literal["integer", "real", "timestamp", "string", "bytes", "integers", "reals", "strings"]
TimePart = Literal["year", "month", "day", "day_of_year", "day_of_week", "hour", "minute", "second"]


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RawColumn(_Frozen):
    """A column of the raw row that the transform reads."""

    name: str
    kind: RawKind
    nullable: bool
    """Whether the training data had missing values here."""


class DerivedColumn(_Frozen):
    """A column computed from raw columns; `op` names the function in `arrow.py` and `graph.py`."""

    name: str
    op: Literal[
        "day_of_week", "hour_of_day", "minute_of_day", "difference", "time_part", "seconds_since"
    ]
    columns: tuple[str, ...]
    part: TimePart | None = None
    """Of `time_part`; day_of_week is 1 (Monday) to 7 (Sunday)."""
    origin: int | None = None
    """Of `seconds_since`: microseconds since 1970-01-01 UTC."""

    @property
    def kind(self) -> RawKind:
        return "real" if self.op in ("difference", "seconds_since") else "integer"


class OnScale(_Frozen):
    """Numbers on a scale learnt from the train split."""

    name: str
    column: str
    clip: tuple[float | None, float | None] = (None, None)
    log1p: bool = False
    fill: float = 0.0
    center: float = 0.0
    scale: float = 1.0


class ScaledFeature(OnScale):
    """A number."""

    kind: Literal["scaled"] = "scaled"
    indicator: bool = False


class CyclicFeature(_Frozen):
    """A number that goes round, as sine and cosine."""

    kind: Literal["cyclic"] = "cyclic"
    name: str
    column: str
    period: float


class BucketsFeature(_Frozen):
    """int32 ids of the intervals between boundaries."""

    kind: Literal["buckets"] = "buckets"
    name: str
    column: str
    boundaries: tuple[float, ...]

    @property
    def cardinality(self) -> int:
        return len(self.boundaries) + 2


class VocabularyFeature(_Frozen):
    """int32 ids of the values seen on the train split, most frequent first."""

    kind: Literal["vocabulary"] = "vocabulary"
    name: str
    column: str
    values: tuple[str, ...]
    unknown_ids: int = 1
    fill: str | None = None

    @property
    def cardinality(self) -> int:
        return FIRST_UNKNOWN_ID + self.unknown_ids + len(self.values)


class HashFeature(_Frozen):
    """int32 ids by fingerprint, of one column or of several crossed."""

    kind: Literal["hash"] = "hash"
    name: str
    columns: tuple[str, ...]
    buckets: int

    @property
    def cardinality(self) -> int:
        return self.buckets + 1


class TokensFeature(_Frozen):
    """int32 ids of a list's elements or a text's words, padded or cut to `length`."""

    kind: Literal["tokens"] = "tokens"
    name: str
    column: str
    length: int
    lower: bool = False
    strip_punctuation: bool = False
    values: tuple[str, ...] = ()
    unknown_ids: int = 1
    buckets: int | None = None
    """Set where ids are hashed; `values` is then empty and `unknown_ids` without meaning."""

    @property
    def cardinality(self) -> int:
        if self.buckets is not None:
            return self.buckets + 1
        return FIRST_UNKNOWN_ID + self.unknown_ids + len(self.values)


class SeriesFeature(OnScale):
    """A list of numbers of fixed length, all on one scale."""

    kind: Literal["series"] = "series"
    length: int


class ImageFeature(_Frozen):
    """An image as it is, 0 to 255; the model scales it."""

    kind: Literal["image"] = "image"
    name: str
    column: str
    height: int
    width: int
    channels: int

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.height, self.width, self.channels


FittedFeature = Annotated[
    ScaledFeature
    | CyclicFeature
    | BucketsFeature
    | VocabularyFeature
    | HashFeature
    | TokensFeature
    | SeriesFeature
    | ImageFeature,
    Field(discriminator="kind"),
]
Categorical = BucketsFeature | VocabularyFeature | HashFeature
Shaped = TokensFeature | SeriesFeature | ImageFeature


class LabelSpec(_Frozen):
    """What the dataset's `label` column means, and how a model's output becomes an answer."""

    kind: Literal["binary", "classes", "multi_label", "regression"] = "binary"
    """binary: float32 0 or 1. classes: int32 position in `classes`. multi_label: float32 0 or 1 of
    each of `classes`, a list. regression: float32 (y - center) / scale."""
    classes: tuple[str, ...] = ()
    center: float = 0.0
    scale: float = 1.0
    weighted: bool = False
    """Whether rows carry `sample_weight` (float32, 0 or more), by which losses are multiplied."""
    baseline: bool = False
    """Whether rows carry `baseline` (float32, in the label's own unit, not standardized): what one
    would predict without a model."""

    @property
    def array(self) -> tuple[str, tuple[int, ...]]:
        """dtype of labels in a dataset, and their shape without the rows."""
        if self.kind == "multi_label":
            return "float32", (len(self.classes),)
        return "int32" if self.kind == "classes" else "float32", ()

    @property
    def has_threshold(self) -> bool:
        """Whether a probability becomes an answer by a threshold."""
        return self.kind in ("binary", "multi_label")


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

    format_version: Literal[3] = 3
    raw: tuple[RawColumn, ...]
    derived: tuple[DerivedColumn, ...]
    features: tuple[FittedFeature, ...]
    label: LabelSpec = LabelSpec()

    @property
    def numeric(self) -> tuple[str, ...]:
        """Columns of the float32 matrix, in order."""
        names: list[str] = []
        for feature in self.features:
            if isinstance(feature, ScaledFeature):
                names.append(feature.name)
                if feature.indicator:
                    names.append(f"{feature.name}_missing")
            elif isinstance(feature, CyclicFeature):
                names += [f"{feature.name}_sin", f"{feature.name}_cos"]
        return tuple(names)

    @property
    def categorical(self) -> tuple[Categorical, ...]:
        """Features in the int32 matrix, in column order."""
        return tuple(f for f in self.features if isinstance(f, Categorical))

    @property
    def shaped(self) -> tuple[Shaped, ...]:
        """Features that are an input of their own, under their own name."""
        return tuple(f for f in self.features if isinstance(f, Shaped))

    @property
    def inputs(self) -> dict[str, ModelInput]:
        """The model's inputs by name.

        `numeric` float32 (numbers,), `categorical` int32 (ids,), and by the feature's name tokens
        int32 (length,), series float32 (length,) and images uint8 (height, width, channels); what
        the spec has none of is left out.
        """
        inputs: dict[str, ModelInput] = {}
        if self.numeric:
            inputs["numeric"] = ModelInput("float32", (len(self.numeric),), self.numeric)
        if self.categorical:
            names = tuple(f.name for f in self.categorical)
            inputs["categorical"] = ModelInput("int32", (len(names),), names)
        for feature in self.shaped:
            if isinstance(feature, ImageFeature):
                inputs[feature.name] = ModelInput("uint8", feature.shape, (feature.name,))
            else:
                dtype = "int32" if isinstance(feature, TokensFeature) else "float32"
                inputs[feature.name] = ModelInput(dtype, (feature.length,), (feature.name,))
        return inputs

    @property
    def tensors(self) -> dict[str, RawColumn]:
        """Raw columns by the name of their tensor: TensorFlow takes no spaces, dots or umlauts."""
        return {f"raw_{position}": column for position, column in enumerate(self.raw)}

    def to_json(self) -> str:
        return self.model_dump_json(indent=1)

    @staticmethod
    def from_json(text: str, where: str = "transform.json") -> "TransformSpec":
        """Return the spec in a text, of today's format or an older one.

        Args:
            text: what `to_json` wrote, now or then.
            where: its place, for an error.

        Raises:
            DatasetError: it is of a newer format.
            pydantic.ValidationError: it is no spec.
        """
        return TransformSpec.model_validate_json(TRANSFORM.migrated_text(text, where, DatasetError))
