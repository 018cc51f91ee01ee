"""The errors a person meets, and the exit code each one stands for.

An error says what came, what was expected, where, and the fix. Everything a user can cause derives
from `HeadraceError`; the command line prints its text alone, without a traceback. Any other
exception is a defect of ours and keeps its traceback.
"""

from collections.abc import Sequence
from dataclasses import dataclass

EXIT_FAILED_RUN = 1
EXIT_BAD_RECIPE = 2
EXIT_FAILED_GATE = 3


class HeadraceError(Exception):
    """Base of every error whose text is meant for the person who runs the pipeline."""

    exit_code = EXIT_FAILED_RUN


@dataclass(frozen=True)
class Problem:
    """One thing wrong with one key of a recipe.

    Attributes:
        where: dotted key path, for example `train.epochs`.
        what: what came and what was expected.
        fix: what to write instead; empty where the text says it already.
    """

    where: str
    what: str
    fix: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" + (f" ({self.fix})" if self.fix else "")


class RecipeError(HeadraceError):
    """A recipe that cannot run, with every problem found in it."""

    exit_code = EXIT_BAD_RECIPE

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        self.source = source
        self.problems = tuple(problems)
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        lines = "\n".join(f"  - {problem}" for problem in problems)
        super().__init__(f"{count} in recipe {source}; nothing was started:\n{lines}")


class LakeError(HeadraceError):
    """A raw table that is not there, is empty, or breaks its column contract."""


class LedgerError(HeadraceError):
    """Rows that went in and did not come out in any bucket; nothing is published."""


class DatasetError(HeadraceError):
    """A dataset version that is missing, damaged, or not what the reader was promised."""


class RemovedError(DatasetError):
    """A dataset version that was committed and whose files were removed since."""


class DamagedError(DatasetError):
    """A dataset version whose record is damaged, or of a Headrace that kept less."""


class UnreachableError(DatasetError):
    """The store that a dataset is in refuses, or does not answer."""


class ConflictError(DatasetError):
    """Two builds tried to publish at once and this one lost; nothing of it is visible."""


class StreamError(HeadraceError):
    """A row group that cannot be read, or rows delivered that differ from the plan."""


class RankError(HeadraceError):
    """A rank that died, with its traceback on top."""


class StoppedError(HeadraceError):
    """A run that who started it wants no more."""


class TrainError(HeadraceError):
    """A training run that cannot go on: a loss that is not finite, ranks that disagree."""


class FormatError(TrainError):
    """A checkpoint of a format that this program cannot read."""


class PreemptedError(HeadraceError):
    """A training that was told to end (SIGTERM) and left a checkpoint."""

    exit_code = 143


class ModelError(HeadraceError):
    """A model version that is missing or does not fit the dataset version."""


class GateError(HeadraceError):
    """A model that is not to be promoted; nothing is broken."""

    exit_code = EXIT_FAILED_GATE


class MachineError(HeadraceError):
    """Something the machine lacks, such as Java."""
