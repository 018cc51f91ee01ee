"""The fitted transform as plain values: what `transform.json` holds, and nothing that runs.

Semantics, binding for every execution of a spec:

Raw columns are one of three kinds, each with one way to be *missing*:
  integer  int64; null is missing, and so is -2**63, which stands for null in a tensor.
  real     float64; null, NaN and the infinities are missing.
  string   UTF-8; null is missing, the empty string is a value.

Derived columns are computed from raw ones in int64 or float64 arithmetic; missing in, missing out.

Features are what the model reads:
  standardize  float32((x - mean) / scale) with the arithmetic in float64; missing gives 0.0. A
               result beyond float32 is clipped to its largest finite value.
  vocabulary   int32: 0 missing, 1 out of vocabulary, 2 + position in `values` otherwise. Integers
               are looked up by their decimal text.
  hash         int32: 0 missing, 1 + fingerprint64(UTF-8) mod buckets otherwise (FarmHash's
               Fingerprint64, the function of `tf.strings.to_hash_bucket_fast`).
"""

import hashlib
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

MISSING_ID = 0
UNKNOWN_ID = 1
FIRST_ID = 2
MISSING_INTEGER = -(2**63)

RawKind = Literal["integer", "real", "string"]


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
    op: Literal["day_of_week", "hour_of_day", "minute_of_day", "difference"]
    columns: tuple[str, ...]

    @property
    def kind(self) -> RawKind:
        return "real" if self.op == "difference" else "integer"


class StandardizeFeature(_Frozen):
    """float32, mean 0 and standard deviation 1 on the train split."""

    kind: Literal["standardize"] = "standardize"
    name: str
    column: str
    mean: float
    scale: float
    """Population standard deviation; 1 where the column is constant or always missing."""


class VocabularyFeature(_Frozen):
    """int32 ids of the values seen on the train split, most frequent first."""

    kind: Literal["vocabulary"] = "vocabulary"
    name: str
    column: str
    values: tuple[str, ...]

    @property
    def cardinality(self) -> int:
        return len(self.values) + FIRST_ID


class HashFeature(_Frozen):
    """int32 ids by fingerprint."""

    kind: Literal["hash"] = "hash"
    name: str
    column: str
    buckets: int

    @property
    def cardinality(self) -> int:
        return self.buckets + 1


FittedFeature = Annotated[
    StandardizeFeature | VocabularyFeature | HashFeature, Field(discriminator="kind")
]


class TransformSpec(_Frozen):
    """Everything needed to turn a raw row into what the model reads."""

    format_version: Literal[1] = 1
    raw: tuple[RawColumn, ...]
    derived: tuple[DerivedColumn, ...]
    features: tuple[FittedFeature, ...]

    @property
    def numeric(self) -> tuple[StandardizeFeature, ...]:
        """Features in the float32 matrix, in column order."""
        return tuple(f for f in self.features if isinstance(f, StandardizeFeature))

    @property
    def categorical(self) -> tuple[VocabularyFeature | HashFeature, ...]:
        """Features in the int32 matrix, in column order."""
        return tuple(f for f in self.features if not isinstance(f, StandardizeFeature))

    @property
    def tensors(self) -> dict[str, RawColumn]:
        """Raw columns by the name of their tensor: TensorFlow takes no spaces, dots or umlauts."""
        return {f"raw_{position}": column for position, column in enumerate(self.raw)}

    def kind_of(self, column: str) -> RawKind:
        """Kind of a raw or derived column. Derived names hide raw ones."""
        kinds: dict[str, RawKind] = {raw.name: raw.kind for raw in self.raw}
        kinds |= {item.name: item.kind for item in self.derived}
        return kinds[column]

    def to_json(self) -> str:
        return self.model_dump_json(indent=1)

    @staticmethod
    def from_json(text: str) -> "TransformSpec":
        """Raises `pydantic.ValidationError` for a text that is no spec of this format version."""
        return TransformSpec.model_validate_json(text)

    def digest(self) -> str:
        """SHA-256 of the spec, hexadecimal; equal specs have equal digests."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()
