"""The boundaries of a split by time, as a build records them."""

from pydantic import BaseModel, ConfigDict

from headrace.recipe import sections as s
from headrace.recipe.times import format_micros, parse_time_to_micros


class TimeBoundaries(BaseModel):
    """The times that divide rows into splits, in microseconds since 1970-01-01 UTC."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    validation_from: int
    """Rows before it are train."""
    test_from: int
    """Rows from it on are test."""
    newest: int | None = None
    """Time of the newest row that the boundaries were resolved from; None where they are dates."""

    @staticmethod
    def from_dates(time: s.TimeSplit) -> "TimeBoundaries":
        """Return the boundaries of a recipe that gives dates.

        Raises:
            ValueError: they are no dates.
        """
        if time.validation_from is None or time.test_from is None:
            raise ValueError("split.time has no dates")
        return TimeBoundaries(
            validation_from=parse_time_to_micros(time.validation_from),
            test_from=parse_time_to_micros(time.test_from),
        )

    def to_values(self) -> dict[str, str | None]:
        """Return the times as ISO 8601, UTC."""
        return {name: None if micros is None else format_micros(micros) for name, micros in self}

    def describe(self) -> str:
        """Return the boundaries for people."""
        times = self.to_values()
        text = f"validation from {times['validation_from']}, test from {times['test_from']}"
        return text if self.newest is None else f"{text}, newest row {times['newest']}"
