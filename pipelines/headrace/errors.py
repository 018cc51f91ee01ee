"""Define the errors that users see, and the exit code of each.

An error says what was received, what was expected, where, and the fix. Everything that a user can
cause derives from `HeadraceError`; the command line prints its text alone, without a traceback. Any
other exception is a defect of ours and keeps its traceback.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from headrace.signals import EXIT_TERMINATED

EXIT_FAILED_RUN = 1
EXIT_BAD_RECIPE = 2
EXIT_FAILED_GATE = 3


class HeadraceError(Exception):
    """Base class of every error whose text is meant for the person who runs the pipeline."""

    exit_code = EXIT_FAILED_RUN


def get_text(error: BaseException) -> str:
    """Return an error's text, also of one of Spark's whose JVM is gone."""
    try:
        return str(error)
    except Exception:  # its text is put together in the JVM
        return str(getattr(error, "_desc", "") or "")


def get_first_line(error: BaseException) -> str:
    """Return the first line of an error's text; "" where it has no text."""
    return next(iter(get_text(error).splitlines()), "")


@dataclass(frozen=True)
class Problem:
    """One thing wrong with one key of a recipe.

    Attributes:
        where: dotted key path, for example `train.epochs`.
        message: what was received and what was expected.
        fix: what to write instead; empty where the message says it already.
        line: of the recipe's file, from 1; None where it is on none, as what `--set` sets.
    """

    where: str
    message: str
    fix: str = ""
    line: int | None = None

    def __str__(self) -> str:
        line = f"line {self.line}: " if self.line else ""
        return f"{line}{self.where}: {self.message}" + (f" ({self.fix})" if self.fix else "")


class RecipeError(HeadraceError):
    """A recipe that cannot run, with every problem found in it."""

    exit_code = EXIT_BAD_RECIPE

    def __init__(
        self, source: str, problems: Sequence[Problem], outcome: str = "nothing was started"
    ) -> None:
        """
        Args:
            source: path or name of the recipe, or a section of it.
            problems: all that were found.
            outcome: what was not done because of them.
        """
        self.source = source
        self.problems = tuple(problems)
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        lines = "\n".join(f"  - {problem}" for problem in problems)
        super().__init__(f"{count} in recipe {source}; {outcome}:\n{lines}")

    @classmethod
    def restore(cls, text: str) -> "RecipeError":
        """Return an error of another process, of which nothing is left but its text."""
        error = cls("", [])
        error.args = (text,)
        return error


class OptionError(HeadraceError):
    """A bad option, such as a label that is no column, or a folder that cannot be written to.

    Nothing was written.
    """

    exit_code = EXIT_BAD_RECIPE


class LakeError(HeadraceError):
    """Raw rows that a stage cannot work on, or a folder for raw rows that is in use.

    A table is missing, empty or unreachable, breaks its column contract, has too few rows, or
    drifted beyond its limit; a value overflows; or `--out` of an example lake is not empty.
    """


class RecipeMismatchError(LakeError):
    """A recipe that its tables cannot satisfy however often it is run: SQL that is none, a column
    or a function that is nowhere."""

    exit_code = EXIT_BAD_RECIPE


class InvalidTextError(LakeError):
    """Texts that are no UTF-8 in columns, which the message names as a list in JSON; the job starts
    again and quarantines their rows."""


class LedgerError(HeadraceError):
    """Rows that were read and are in no bucket of the ledger; nothing is published."""


class DatasetError(HeadraceError):
    """A dataset version that is missing, damaged, or not as its record says."""


class RemovedError(DatasetError):
    """A dataset version whose files were removed after it was committed."""


class DamagedError(DatasetError):
    """A dataset version whose record is damaged, or of a Headrace that recorded less."""


class UnreachableError(DatasetError):
    """A store that refuses a request, or does not answer."""


class ConflictError(DatasetError):
    """A build or job that lost to another one's commit; nothing of it is visible."""


class StreamError(HeadraceError):
    """A row group that cannot be read, or rows delivered that differ from the plan."""


class RankError(HeadraceError):
    """A rank that failed, with its traceback."""


class StoppedError(HeadraceError):
    """A run that was cancelled by the caller."""


class TrainError(HeadraceError):
    """A training run that cannot go on: a loss that is not finite, ranks that disagree."""


class StoreError(TrainError):
    """A tracking store, or a store of checkpoints, that cannot be written: no fault of the
    training."""


class FormatError(TrainError):
    """A checkpoint of a format that this program cannot read."""


class PreemptedError(HeadraceError):
    """A training run that was asked to stop (SIGTERM) and wrote a checkpoint."""

    exit_code = EXIT_TERMINATED


class ModelError(HeadraceError):
    """A model version that is missing or does not fit, or MLflow's database that cannot be used."""


class GateError(HeadraceError):
    """A model that did not pass a gate; nothing is broken."""

    exit_code = EXIT_FAILED_GATE


class MachineError(HeadraceError):
    """Software that the machine lacks, such as Java, or launch variables that it does not set."""
