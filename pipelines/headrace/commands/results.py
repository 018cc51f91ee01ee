"""Build the results of stages: JSON objects for schedulers, lines of text for users.

Stages are imported for their types only: a command pays for no engine it does not use.
"""

from typing import TYPE_CHECKING, Any

from headrace.commands.headline import format_headline
from headrace.number_text import format_number

if TYPE_CHECKING:
    from headrace.evaluate import Evaluated
    from headrace.lake import DatasetVersion, Ledger
    from headrace.prepare import Prepared
    from headrace.train import Trained


def build_prepare_result(prepared: "Prepared") -> dict[str, Any]:
    """Return the result of the prepare stage as a JSON object."""
    from headrace.lake.split_definition import list_split_values

    return {
        **describe_dataset(prepared.dataset),
        "split": list_split_values(prepared.dataset.build),
        "published": prepared.published,
        "why": prepared.why,
        "processed": prepared.dataset.build.processed_ledger.model_dump(),
        "drifted": [d.name for d in prepared.dataset.build.drift if d.has_drifted],
        "differences": {
            table: source["differences"]
            for table, source in prepared.dataset.build.sources.items()
            if source.get("differences")
        },
        "report": prepared.report,
        "quarantine": prepared.quarantine,
        "seconds": {"prepare": prepared.seconds},
    }


def describe_dataset(dataset: "DatasetVersion") -> dict[str, Any]:
    """Return the fields `dataset` and `ledger`, which all results of stages have."""
    return {
        "dataset": {
            "path": dataset.root,
            "version": dataset.version,
            "build_id": dataset.build.build_id,
            "digest": dataset.digest,
        },
        "ledger": dataset.build.ledger.model_dump(),
    }


def build_train_result(trained: "Trained") -> dict[str, Any]:
    """Return the result of the train stage as a JSON object."""
    return {
        **describe_dataset(trained.dataset),
        "run_id": trained.run_id,
        "run_url": trained.run_url,
        "model_uri": trained.model_uri,
        "metrics": trained.metrics,
        "weights_checksum": trained.weights_checksum,
        "seconds": {"train": trained.seconds},
        "first_step_at": trained.first_step_at,
    }


def build_evaluate_result(evaluated: "Evaluated") -> dict[str, Any]:
    """Return the result of the evaluate stage as a JSON object."""
    return {
        **describe_dataset(evaluated.dataset),
        "run_id": evaluated.run_id,
        "run_url": evaluated.run_url,
        "model_uri": evaluated.model_uri,
        "metrics": {f"test_{k}": v for k, v in evaluated.metrics.items()},
        "headline": [f"test_{name}" for name in evaluated.headline],
        "verdict": evaluated.verdict,
        "evaluation_report": evaluated.report,
        "seconds": {"evaluate": evaluated.seconds},
    }


def merge_results(*results: dict[str, Any]) -> dict[str, Any]:
    """Merge the results of several stages into one; objects of the same name are merged too."""
    merged: dict[str, Any] = {}
    for result in results:
        for key, value in result.items():
            if isinstance(value, dict) and isinstance(merged.get(key), dict):
                merged[key] = {**merged[key], **value}
            else:
                merged[key] = value
    return merged


def format_result(
    result: dict[str, Any],
    mlflow_command: str,
    *,
    verbose: bool = False,
) -> list[str]:
    """Return the lines of a stage's result, or of several merged ones, to be printed.

    Args:
        result: fields of `build_prepare_result`, `build_train_result` or `build_evaluate_result`.
        mlflow_command: opens the runs in a browser; shown with a model only.
        verbose: show all metrics, and comparisons in words.
    """
    return [
        *format_dataset(result),
        *format_model(result, mlflow_command, verbose=verbose),
    ]


def format_dataset(result: dict[str, Any]) -> list[str]:
    """Return the lines about rows and the dataset version; see `format_result`."""
    from headrace.lake.ledger import Ledger

    lines = format_ledger(Ledger.model_validate(result["ledger"]))
    if result.get("published") and result["processed"]["read"] != result["ledger"]["read"]:
        own_ledger = Ledger.model_validate(result["processed"])
        lines = [*format_ledger(own_ledger, "Rows of this build"), *lines]
    lines.append(f"Dataset  {result['dataset']['path']}, version {result['dataset']['version']}")
    split = result.get("split") or {}
    if split.get("kind") == "time":
        newest = f", newest row {split['newest']} at its fit" if split["newest"] else ""
        lines.append(
            f"Split    by {split['column']}: validation from {split['validation_from']}, "
            f"test from {split['test_from']}{newest}"
        )
    if "report" in result:
        lines.append(f"Report   {result['report']}")
    if result.get("quarantine"):
        lines.append(f"Rejected {result['quarantine']}")
    return lines


def format_model(
    result: dict[str, Any],
    mlflow_command: str,
    *,
    verbose: bool = False,
) -> list[str]:
    """Return the lines about a model, its metrics and its verdict; see `format_result`."""
    lines: list[str] = []
    references = result.get("verdict", {}).get("references", {})
    if "metrics" in result:
        lines += format_headline(result)
        if verbose:
            lines += format_metrics("All metrics", result["metrics"])
    if "verdict" in result:
        lines += format_references(references if verbose else {**references, "words": {}})
        lines += format_verdict(result["verdict"])
        report = result.get("evaluation_report_path")
        artifact = f"{result['evaluation_report']}, an artifact of the model's run"
        lines.append(f"Judged   {report or artifact}")
    if result.get("model_uri"):
        lines.append(f"Model    {result['model_uri']} (takes raw rows), run {result['run_id']}")
        lines.append(f"MLflow   {mlflow_command}")
        if url := result.get("pipeline_run_url") or result.get("run_url"):
            lines.append(f"Run      {url}")
    return lines


def format_ledger(ledger: "Ledger", title: str = "Row ledger") -> list[str]:
    """Return the row accounting of a version or of a build, a line per outcome."""
    rows = [("rows read", ledger.read)]
    rows += [(f"  published, {split}", n) for split, n in ledger.published.items()]
    rows += [(f"  quarantined, {rule}", n) for rule, n in ledger.quarantined.items()]
    if not ledger.quarantined:
        rows.append(("  quarantined", 0))
    rows.append(("  duplicates", ledger.duplicates))
    rows += [(f"  filtered, {reason}", n) for reason, n in ledger.filtered.items()]
    rows.append(("accounted for", ledger.accounted_rows))
    # Numbers stay below each other, within 80 columns.
    width = max(28, min(66, max(len(name) for name, _ in rows)))
    return [title, *(f"  {name:<{width}}{n:>12,}" for name, n in rows)]


def format_verdict(verdict: dict[str, Any]) -> list[str]:
    """Return whether the model may be promoted, and the outcome of every gate."""
    outcome = {
        True: "passed",
        False: "failed: the model is not to be promoted",
        None: "none: evaluate.gates is [], so nothing was judged",
    }[verdict["passed"]]
    gates = [
        f"  {'passed' if gate['passed'] else 'FAILED'}  {gate['text']}" for gate in verdict["gates"]
    ]
    return [f"Verdict {outcome}", *gates]


def format_references(references: dict[str, Any]) -> list[str]:
    """Return by how much the model is better or worse than its references, a line per metric.

    Args:
        references: of `verdict.json`; empty in the results of older versions.
    """
    lines = [f"  {m:<28}{words}" for m, words in references.get("words", {}).items() if words]
    lines += [f"  without {name}: {why}" for name, why in references.get("left_out", {}).items()]
    lines += [f"  {note}" for note in references.get("notes", ())]
    return ["References", *lines] if lines else []


def format_metrics(title: str, metrics: dict[str, float]) -> list[str]:
    """Return a line per metric."""
    return [title, *(f"  {name:<28}{format_number(value):>14}" for name, value in metrics.items())]
