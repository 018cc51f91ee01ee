"""Hold the recipe's keys about columns: derivations, and which kinds of feature there are.

The sections of features are in the modules of `features`, one per kind.
"""

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from headrace.features.kind import FeatureSection
from headrace.features.kinds import KINDS
from headrace.recipe.time_zones import TimeZone
from headrace.recipe_section import Section, Text
from headrace.schema import NUMBERS, ColumnType


class _DerivationSection(Section):
    accepted_types: ClassVar[frozenset[ColumnType]]
    """Types of the raw columns that it may read."""
    result_type: ClassVar[ColumnType] = ColumnType.INTEGER
    """Type of the derived column, REAL or INTEGER."""


class DayOfWeek(_DerivationSection):
    """1 (Monday) to 7 (Sunday) of the date in integer columns year, month, day; else missing."""

    accepted_types = frozenset({ColumnType.INTEGER})

    kind: Literal["day_of_week"]
    columns: Annotated[list[str], Field(min_length=3, max_length=3)]


class HourOfDay(_DerivationSection):
    """Hour of a clock time written as an integer HHMM, for example 517 -> 5."""

    accepted_types = frozenset({ColumnType.INTEGER})

    kind: Literal["hour_of_day"]
    columns: Annotated[list[str], Field(min_length=1, max_length=1)]


class MinuteOfDay(_DerivationSection):
    """Minutes since midnight of a clock time written as an integer HHMM, for example 517 -> 317."""

    accepted_types = frozenset({ColumnType.INTEGER})

    kind: Literal["minute_of_day"]
    columns: Annotated[list[str], Field(min_length=1, max_length=1)]


class Difference(_DerivationSection):
    """First column minus the second; missing where either is."""

    accepted_types = NUMBERS
    result_type = ColumnType.REAL

    kind: Literal["difference"]
    columns: Annotated[list[str], Field(min_length=2, max_length=2)]


class TimePart(_DerivationSection):
    """A calendar field of a timestamp; day_of_week is 1 (Monday) to 7 (Sunday)."""

    accepted_types = frozenset({ColumnType.TIMESTAMP})

    kind: Literal["time_part"]
    columns: Annotated[list[str], Field(min_length=1, max_length=1)]
    part: Literal["year", "month", "day", "day_of_year", "day_of_week", "hour", "minute", "second"]
    time_zone: TimeZone = "UTC"
    """Of the clock and calendar that are read, as `Europe/Berlin`. Its rules are recorded in the
    transform, so that a model reads the same clock wherever it runs. A column of dates has none."""


class SecondsSince(_DerivationSection):
    """Seconds from `origin` to a timestamp, with microseconds as a fraction."""

    accepted_types = frozenset({ColumnType.TIMESTAMP})
    result_type = ColumnType.REAL

    kind: Literal["seconds_since"]
    columns: Annotated[list[str], Field(min_length=1, max_length=1)]
    origin: Text
    """ISO 8601 date or time; UTC where it names no zone."""


Derivation = Annotated[
    DayOfWeek | HourOfDay | MinuteOfDay | Difference | TimePart | SecondsSince,
    Field(discriminator="kind"),
]


if TYPE_CHECKING:
    Feature = FeatureSection
else:
    Feature = Annotated[
        reduce(or_, (section for kind in KINDS for section in kind.sections)),
        Field(discriminator="kind"),
    ]
    """A feature of any kind, told by its `kind`, as pydantic checks it."""
