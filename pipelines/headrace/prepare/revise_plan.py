"""Revise the plan of a build that has met rows which need another one."""

from dataclasses import replace

from headrace.errors import LakeError
from headrace.prepare.attempt import RebuildWithPartitions, RebuildWithRefit, RebuildWithTexts
from headrace.prepare.plan import Plan
from headrace.progress import Progress, Report
from headrace.source.internal_columns import LABEL


def revise_plan(
    plan: Plan, outcome: RebuildWithPartitions | RebuildWithRefit | RebuildWithTexts, report: Report
) -> Plan:
    """Return the plan of the next build, and report why there is one."""
    match outcome:
        case RebuildWithPartitions(names):
            listed = ", ".join(names[:3])
            report(Progress(f"rows share keys with {len(names)} more source partitions ({listed})"))
            return plan.with_partitions(names)
        case RebuildWithTexts(columns):
            named = ", ".join(columns).replace(LABEL, "label.expression")
            if plan.invalid_texts.issuperset(columns):
                raise LakeError(f"texts of {named} that are no UTF-8 pass the check of them")
            report(Progress(f"{named} has texts that are no UTF-8; their rows go to quarantine"))
            return replace(plan, invalid_texts=plan.invalid_texts | {*columns})
        case RebuildWithRefit(drift):
            report(Progress(f"fitting again, because rows drifted: {drift}"))
            return plan.with_refit(f"rows drifted ({drift})")
