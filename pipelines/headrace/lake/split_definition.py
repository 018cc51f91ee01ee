"""Say what decides the split of a version's rows, in plain values: one answer for all formats.

Boundaries of time that follow from the rows are resolved once, where the transform is fitted
(`prepare/split_boundaries.py`), and recorded; dates are those of the recorded recipe.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from pydantic import ValidationError

from headrace.errors import DamagedError
from headrace.lake.build import Build
from headrace.lake.time_boundaries import TimeBoundaries
from headrace.recipe import sections as s
from headrace.recipe.times import format_micros


@dataclass(frozen=True)
class SplitDefinition:
    """All that decides which split a row of a version is in; equal ones split rows alike.

    Attributes:
        kind: key: by the hash of a key; time: by boundaries of time.
        key: columns of the key; empty by time.
        fractions: split -> share of the keys; empty by time.
        seed: of the hash; None by time.
        key_definition: how the key's values become text, see `source/keys.py`; None by time.
        column: of the time; None by key.
        validation_from, test_from: the boundaries, ISO 8601, UTC; None by key.
    """

    kind: Literal["key", "time"]
    key: tuple[str, ...] = ()
    fractions: tuple[tuple[str, float], ...] = ()
    seed: int | None = None
    key_definition: int | None = None
    column: str | None = None
    validation_from: str | None = None
    test_from: str | None = None

    def to_values(self) -> dict[str, Any]:
        """Return the definition as plain values, as JSON has them."""
        return {**asdict(self), "key": list(self.key), "fractions": dict(self.fractions)}


def read_split_definition(build: Build) -> SplitDefinition:
    """Return what decides the split of a version's rows.

    Args:
        build: record of the version, of any format; boundaries of time that followed from rows are
            the ones that were resolved.

    Raises:
        DamagedError: the record has no split, or none that can be read.
    """
    split = read_recorded_split(build)
    if split.time is None:
        return SplitDefinition(
            "key",
            key=tuple(split.key or ()),
            fractions=tuple(split.fractions.model_dump().items()),
            seed=split.seed,
            key_definition=build.key_definition,
        )
    try:
        boundaries = build.time_boundaries or TimeBoundaries.from_dates(split.time)
    except ValueError as error:
        raise _make_error(build, f"{error}, and no boundaries are recorded") from None
    return SplitDefinition(
        "time",
        column=split.time.column,
        validation_from=format_micros(boundaries.validation_from),
        test_from=format_micros(boundaries.test_from),
    )


def read_recorded_split(build: Build) -> s.Split:
    """Return the section `split` of the recipe that a version was built by.

    Raises:
        DamagedError: there is none, or none that can be read.
    """
    try:
        return s.Split.model_validate(build.recipe.get("split"))
    except ValidationError:
        raise _make_error(build, "its recipe has no split that can be read") from None


def list_split_values(build: Build) -> dict[str, Any] | None:
    """Return the definition of a version's split with the newest time that it was resolved from, as
    plain values; None where the record has none that can be read."""
    try:
        definition = read_split_definition(build)
    except DamagedError:
        return None
    boundaries = build.time_boundaries
    return {
        **definition.to_values(),
        "newest": boundaries.to_values()["newest"] if boundaries else None,
    }


def describe_split(build: Build) -> list[str]:
    """Return lines for people about the split of a version's rows, and where it comes from."""
    try:
        definition, time = read_split_definition(build), read_recorded_split(build).time
    except DamagedError:
        return ["not known: the record has none that can be read"]
    boundaries = build.time_boundaries
    if time is None:
        shares = ", ".join(f"{split} {share:g}" for split, share in definition.fractions)
        return [f"by the key {', '.join(definition.key)} ({shares}), seed {definition.seed}"]
    lines = [
        f"by {definition.column}: validation from {definition.validation_from}, "
        f"test from {definition.test_from}"
    ]
    if boundaries is not None and boundaries.newest is not None:
        lines.append(
            f"from {time.describe()}; newest row {format_micros(boundaries.newest)} when build "
            f"{build.transform_of or build.build_id} fitted the transform; a refit moves it on"
        )
    return lines


def _make_error(build: Build, problem: str) -> DamagedError:
    return DamagedError(
        f"the record of build {build.build_id} is damaged: {problem}; restore it from a backup, "
        "or run `headrace prepare --refit`"
    )
