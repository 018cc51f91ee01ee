"""What a stage's result looks like: as JSON for a scheduler, as lines for a person.

Stages are imported for their types only: a command pays for no engine it does not use.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headrace.evaluate import Evaluated
    from headrace.lake import DatasetVersion, Ledger
    from headrace.prepare import Prepared
    from headrace.train import Trained


def prepared_json(prepared: "Prepared") -> dict[str, Any]:
    return {
        **dataset_json(prepared.dataset),
        "published": prepared.published,
        "why": prepared.why,
        "processed": prepared.dataset.build.processed.model_dump(),
        "drifted": [d.name for d in prepared.dataset.build.drift if d.drifted],
        "report": prepared.report,
        "quarantine": prepared.quarantine,
        "seconds": {"prepare": prepared.seconds},
    }


def dataset_json(dataset: "DatasetVersion") -> dict[str, Any]:
    return {
        "dataset": {
            "path": dataset.root,
            "version": dataset.version,
            "build_id": dataset.build.build_id,
            "digest": dataset.digest,
        },
        "ledger": dataset.build.ledger.model_dump(),
    }


def trained_json(trained: "Trained") -> dict[str, Any]:
    return {
        **dataset_json(trained.dataset),
        "run_id": trained.run_id,
        "model_uri": trained.model_uri,
        "metrics": trained.metrics,
        "weights_checksum": trained.weights_checksum,
        "seconds": {"train": trained.seconds},
        "first_step_at": trained.first_step_at,
    }


def evaluated_json(evaluated: "Evaluated") -> dict[str, Any]:
    return {
        **dataset_json(evaluated.dataset),
        "run_id": evaluated.run_id,
        "model_uri": evaluated.model_uri,
        "metrics": {f"test_{k}": v for k, v in evaluated.metrics.items()},
        "verdict": evaluated.verdict,
        "evaluation_report": evaluated.report,
        "seconds": {"evaluate": evaluated.seconds},
    }


def merged(*results: dict[str, Any]) -> dict[str, Any]:
    """One result of several stages; sections of the same name are joined."""
    whole: dict[str, Any] = {}
    for result in results:
        for key, value in result.items():
            if isinstance(value, dict) and isinstance(whole.get(key), dict):
                whole[key] = {**whole[key], **value}
            else:
                whole[key] = value
    return whole


def ledger_lines(ledger: "Ledger", title: str = "Row ledger") -> list[str]:
    """The row accounting of a version or of a build."""
    rows = [("rows read", ledger.read)]
    rows += [(f"  published, {split}", n) for split, n in ledger.published.items()]
    rows += [(f"  quarantined, {rule}", n) for rule, n in ledger.quarantined.items()]
    if not ledger.quarantined:
        rows.append(("  quarantined", 0))
    rows.append(("  duplicates", ledger.duplicates))
    rows += [(f"  filtered, {reason}", n) for reason, n in ledger.filtered.items()]
    rows.append(("accounted for", ledger.accounted))
    return [title, *(f"  {name:<28}{n:>12,}" for name, n in rows)]


def verdict_lines(verdict: dict[str, Any]) -> list[str]:
    """Every gate, and whether the model may be promoted."""
    gates = [f"  {'passed' if g['passed'] else 'FAILED'}  {g['text']}" for g in verdict["gates"]]
    said = "passed" if verdict["passed"] else "failed: the model is not to be promoted"
    return [f"Verdict {said}", *gates]


def metric_lines(title: str, metrics: dict[str, float]) -> list[str]:
    lines = [title]
    for name, value in metrics.items():
        counts = float(value).is_integer() and (value >= 100 or name.endswith(("epochs", "epoch")))
        decimals = 0 if counts else 1 if value >= 100 else 4
        shown = f"{value:,.{decimals}f}"
        lines.append(f"  {name:<28}{shown:>14}")
    return lines
