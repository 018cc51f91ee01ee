"""An attempt to score a table: what goes in, from the plan to the name of its files."""

from dataclasses import dataclass
from datetime import datetime

from headrace.lake.score_record import ScoreRecord
from headrace.progress import Report
from headrace.recipe import Recipe
from headrace.score.plan import ScorePlan
from headrace.tracking.model import ModelVersion


@dataclass(frozen=True)
class ScoreAttempt:
    """One try to publish predictions.

    Attributes:
        recipe: of the model.
        reading: the same with the table to score as its main one.
        plan: what is read.
        root: of the predictions.
        base: their newest version and its record; None for the first.
        model: that scores.
        written: columns that are written as they are.
        report: told of progress.
        idempotency_id: under which it is published once.
        now, build_id: of this job.
    """

    recipe: Recipe
    reading: Recipe
    plan: ScorePlan
    root: str
    base: tuple[int, ScoreRecord] | None
    model: ModelVersion
    written: list[str]
    report: Report
    idempotency_id: str | None
    now: datetime
    build_id: str
