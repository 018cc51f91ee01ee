"""Build in processes of this machine, where no Spark is needed."""

from dataclasses import dataclass

from headrace.lake.commit import discard_build
from headrace.prepare.attempt import Attempt
from headrace.prepare.build import BuildResult, build_rows
from headrace.prepare.local.jobs import LocalJobs
from headrace.prepare.plan import Plan
from headrace.prepare.revise_plan import revise_plan
from headrace.progress import Progress
from headrace.source.local.choice import (
    can_do_without_spark,
    choose_processes,
    describe_rows,
)
from headrace.source.local.needs_spark import NeedsSparkError
from headrace.source.local.table import open_local_table
from headrace.source.local.workers import Workers
from headrace.source.read import ReadRows


@dataclass(frozen=True)
class LocalBuild:
    """What was built, and is not published yet.

    Attributes:
        plan: of the build.
        raw: what was read.
        result: what was written.
    """

    plan: Plan
    raw: ReadRows
    result: BuildResult


def build_without_spark(attempt: Attempt, plan: Plan, scratch: str) -> LocalBuild | Plan:
    """Build in processes of this machine; where Spark is needed, return the plan of its build.

    Args:
        attempt, plan: of the build.
        scratch: local folder, for what tasks leave for others.
    """
    recipe, report = attempt.recipe, attempt.report
    while can_do_without_spark(recipe, plan):
        try:
            table = open_local_table(recipe, plan)
            with Workers(choose_processes(recipe, table)) as workers:
                jobs = LocalJobs(attempt, plan, table, workers, scratch)
                report(Progress(f"preparing {describe_rows(table)} without Spark"))
                attempt.timer.record_step("read")
                outcome = build_rows(attempt, plan, table.raw, jobs)
        except NeedsSparkError as error:
            report(Progress(f"Spark is needed: {error}"))
            discard_build(attempt.root, attempt.build_id)
            return plan
        if isinstance(outcome, BuildResult):
            return LocalBuild(plan, table.raw, outcome)
        plan = revise_plan(plan, outcome, report)
        discard_build(attempt.root, attempt.build_id)
    return plan
