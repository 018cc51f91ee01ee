"""Define what `headrace check` says of one thing: how bad it is, on which line, and the fix."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from headrace.errors import EXIT_BAD_RECIPE, EXIT_FAILED_RUN, Problem


class Kind(StrEnum):
    """The kind of a remark; the worst one decides the exit code."""

    RECIPE = "recipe"
    """The recipe is wrong for certain: exit code 2."""
    OPTION = "option"
    """An option is wrong, as a folder that cannot be written to: exit code 2, as of `run`."""
    MISSING = "missing"
    """The machine lacks something, or a table is not there: exit code 1."""
    SUSPECTED = "suspected"
    """What may be wrong: Spark decides, or whoever runs it."""
    UNCHECKED = "unchecked"
    """Something was not looked at."""
    OK = "ok"


@dataclass(frozen=True)
class Remark:
    """A remark on one thing.

    Attributes:
        kind: how bad it is.
        where: dotted key of the recipe, or what was checked.
        message: in words.
        fix: what to do; "" where nothing has to be done.
        line: of the recipe's file, from 1.
    """

    kind: Kind
    where: str
    message: str
    fix: str = ""
    line: int | None = None

    @staticmethod
    def from_problem(kind: Kind, problem: Problem) -> "Remark":
        """Return a problem of the recipe as a remark."""
        return Remark(kind, problem.where, problem.message, problem.fix, problem.line)

    def format(self) -> str:
        """Return the remark as a line of text."""
        problem = Problem(self.where, self.message, self.fix, self.line)
        return f"{self.kind:<10} {problem}"

    def to_dict(self) -> dict[str, Any]:
        """Return the remark as a JSON object."""
        return asdict(self)


def choose_exit_code(remarks: list[Remark]) -> int:
    """Return the exit code of the worst remark: 2 a recipe or an option that is wrong, 1 what is
    missing, 0."""
    kinds = {remark.kind for remark in remarks}
    if kinds & {Kind.RECIPE, Kind.OPTION}:
        return EXIT_BAD_RECIPE
    return EXIT_FAILED_RUN if Kind.MISSING in kinds else 0
