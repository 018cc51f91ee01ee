"""Write docs/metrics.md and docs/artifacts.md, from the kinds of label, the losses and the formats.

    .venv/bin/python scripts/result_reference.py metrics > docs/metrics.md
    .venv/bin/python scripts/result_reference.py artifacts > docs/artifacts.md

Which metrics there are, of which labels, and which way is better comes from `headrace.labels`; the
words for them are here, and a metric without words is an error. Formats are those of
`headrace.formats`; what a version of a format added is the text below it there.
"""

import ast
import itertools
import re
import sys
from pathlib import Path

from headrace import formats
from headrace.labels.kinds import KINDS
from headrace.labels.losses.kinds import LOSSES, OWN_LOSSES
from headrace.labels.ranking import LIST_COUNTS

_METRICS = """# Metrics

Every metric of an evaluation, by the kind of label: which way is better, and what it is. This page
is generated: `scripts/result_reference.py`. In MLflow the metrics of the test split have the prefix
of the split; `evaluate.gates`, `evaluate.metric` and `tune.metric` name them without it.

Metrics are scikit-learn's where it has them, over the rows of all ranks at once, with bootstrap
intervals. A metric that is not defined (ROC AUC of one class) is absent. With
[`evaluate.weighted`](recipe.md#evaluate) rows weigh as in training, otherwise all the same. Of more
rows than `evaluate.exact_rows` some have [bounds](design.md#metrics-of-very-many-rows).
"""
_TRAINING = """## Of a training

Logged after every epoch, beside the metrics of the validation split (`val_…`).

| metric | |
|---|---|
| `train_loss` | mean loss of the train rows of the epoch, in the unit of training |
| `rows_per_second` | rows of all ranks |
| `input_wait_share` | share of the time in which ranks wait for batches |
| `allreduce_share` | share of the time in which ranks exchange gradients |
| `step_milliseconds_p50`, `_p95`, `_p99` | percentiles of the time of a step |
| `learning_rate` | the last one of the epoch |
| `epochs`, `best_epoch` | epochs that were run, and the one whose weights are registered |
"""
_WORDS = {
    "loss": "the loss that is trained: of `train.loss`, in the label's own unit",
    "roc_auc": "area under the ROC curve: how often a positive row scores above a negative one",
    "roc_auc_ovr": "mean over classes of each one's ROC AUC against the rest",
    "roc_auc_macro": "mean of the labels' ROC AUC",
    "roc_auc_micro": "ROC AUC of all labels of all rows together",
    "pr_auc": "average precision, the area under the precision-recall curve",
    "pr_auc_macro": "mean of the labels' average precision",
    "pr_auc_micro": "average precision of all labels of all rows together",
    "accuracy": "share of rows whose prediction is right",
    "exact_match": "share of rows with every label right",
    "hamming_loss": "share of labels that are wrong",
    "precision": "share of rows predicted as positive that are; 0 where none is predicted",
    "recall": "share of positive rows that are predicted as such; 0 where none is positive",
    "f1": "harmonic mean of precision and recall",
    "top_2": "share of rows whose class is among the two most probable",
    "top_3": "likewise three",
    "top_5": "likewise five",
    "log_loss": "cross-entropy: mean of −ln of what was true's probability",
    "brier": "mean squared distance of probabilities from what was true",
    "calibration_error": "mean distance of probabilities from the shares that came true, by bins",
    "normalized_entropy": "log_loss over that of the share of positives (He et al. 2014)",
    "focal_loss": "the focal loss",
    "d2_focal": "1 − focal loss / that of the best constant",
    "r2": "share of the variance that is explained; 0 for the mean",
    "mse": "mean squared error",
    "half_mse": "half of it",
    "rmse": "root of the mean squared error, in the label's unit",
    "mae": "mean absolute error, in the label's unit",
    "mape": "mean of absolute errors over absolute labels, as a share",
    "bias": "mean of prediction − label",
    "median_absolute_error": "half of the rows have a smaller error",
    "absolute_error_p90": "90% of the rows have a smaller error",
    "absolute_error_p95": "likewise 95%",
    "absolute_error_p99": "likewise 99%",
    "largest_error": "the largest absolute error",
    "mae_over_baseline": "mae over that of `label.baseline`; below 1 the model is better",
    "baseline_mae": "mae of `label.baseline`",
    "baseline_rmse": "rmse of `label.baseline`",
    "loss_over_baseline": "the loss over that of `label.baseline`",
    "poisson_deviance": "mean Poisson deviance",
    "d2_poisson": "1 − deviance / that of the mean rate",
    "pinball_loss": "the loss of the quantile",
    "d2_pinball": "1 − pinball loss / that of the best constant",
    "coverage_error": "distance of the share of labels at or below the prediction from the level",
    "d2_absolute_error": "1 − mae / that of the median",
    "huber_loss": "the Huber loss",
    "d2_huber": "1 − Huber loss / that of the best constant",
    "rows": "test rows",
    "positives": "rows, or labels of rows, that are true",
    "true_negatives": "a cell of the confusion matrix, as are the next three",
    "false_positives": "",
    "false_negatives": "",
    "true_positives": "",
    "lists": "lists that count",
    "lists_without_positives": "left out",
    "lists_of_one_row": "left out",
    "rows_without_list": "rows without a value in `evaluate.ranking.columns`",
}
_AVERAGES = {
    "macro": "mean over classes",
    "micro": "over all rows and classes together",
    "weighted": "mean over classes by their rows",
}
_ARTIFACTS = """# Artifacts

What the stages leave, where it lies, and in which version of its format. This page is generated:
`scripts/result_reference.py`. Older versions are migrated in memory when they are read, newer ones
are refused by name; [what is promised](public-surface.md#artifacts) about them stands there.
"""
_FILES = """## Files of a build

Beside the Delta table, in `DATASET/_headrace/BUILD/`:

| file | what it has |
|---|---|
| `build.json` | the record: recipe, source files, data files, checksums |
| `transform.json` | the fitted transform; [large vocabularies](vocabularies.md) lie beside it |
| `ledger.json` | rows read, published by split, quarantined, duplicates, filtered |
| `report.html` | by column: counts, missing and unknown values, distributions by split |
| `quarantine/` | rejected rows as Parquet, as they were read, with rules and reasons |

## Files of a model's run

In MLflow, below `evaluation/test/` of the run that trained the model:

| file | what it has |
|---|---|
| `report.html` | one self-contained page: metrics, curves, slices, importance, thresholds |
| `slices.json` | the metrics of each slice |
| `verdict.json` | gates with their reasons, references, and what the verdict depends on |

A registered model is an MLflow pyfunc that takes raw rows ([scoring and serving](scoring.md)).
"""


def main() -> None:
    """Print the page that the command line names."""
    pages = {"metrics": write_metrics, "artifacts": write_artifacts}
    sys.stdout.write(pages[sys.argv[1]]())


def write_metrics() -> str:
    """Return the page of metrics as Markdown."""
    parts = [_METRICS]
    for kind in KINDS.values():
        parts += [f"## {kind.name}", "", f"The label is {kind.summary}."]
        parts.append(
            f"Slices and features are ordered by `{kind.main_metric}` where the recipe names no "
            f"metric; after every epoch there are {_list(kind.validation_metrics)}."
        )
        parts += ["", "| metric | better | with | |", "|---|---|---|---|"]
        parts += [_row(name, way, "") for name, way in kind.metrics.items()]
        for name, way in kind.loss_metrics.items():
            if name not in kind.metrics:
                parts.append(_row(name, way, _list_losses(name, kind.name)))
        parts += [_row(name, "", "") for name in kind.undirected_metrics]
        if kind.ranks_lists:
            lists = "`evaluate.ranking`"
            parts.append(f"| `ndcg_at_K` | higher | {lists} | NDCG of the first K rows of lists |")
            parts.append(f"| `recall_at_K` | higher | {lists} | share of positives among them |")
            parts += [_row(name, "", lists) for name in LIST_COUNTS]
        parts.append("")
    return "\n".join([*parts, _TRAINING])


def _row(name: str, way: str | None, condition: str) -> str:
    return f"| `{name}` | {way or ''} | {condition} | {describe_metric(name)} |"


def describe_metric(name: str) -> str:
    """Return what a metric is, in words.

    Raises:
        LookupError: nobody has written them.
    """
    base, _, average = name.rpartition("_")
    if name in _WORDS:
        return _WORDS[name]
    if base in _WORDS and average in _AVERAGES:
        return f"{base}, {_AVERAGES[average]}"
    raise LookupError(f"no words for the metric {name}: add them to scripts/result_reference.py")


def _list_losses(metric: str, kind: str) -> str:
    """Return the losses under `train.loss` that bring a metric of such a label."""
    fitting = [loss for loss in LOSSES if kind in loss.label_kinds]
    names = {loss: loss.model_fields["kind"].annotation.__args__[0] for loss in fitting}
    bringing = [names[loss] for loss in fitting if metric in (loss.metric, loss.d2)]
    if metric == "coverage_error":
        bringing = [name for name in names.values() if name == "quantile"]
    if metric == "loss_over_baseline":
        return "`label.baseline` and `train.loss`"
    others = [name for name in bringing if name != OWN_LOSSES[kind]]
    return f"loss {_list(others)}" if others else "`train.loss`"


def _list(names: "list[str] | tuple[str, ...]") -> str:
    return ", ".join(f"`{name}`" for name in names)


def write_artifacts() -> str:
    """Return the page of artifacts as Markdown."""
    parts = [_ARTIFACTS, "| artifact | format | oldest that is read | |", "|---|---|---|---|"]
    notes = _read_notes()
    for item in formats.FORMATS:
        said = notes.get(item.artifact, "")
        parts.append(f"| {item.artifact} | {item.current} | {item.oldest} | {said} |")
    return "\n".join([*parts, "", _FILES])


def _read_notes() -> dict[str, str]:
    """Return artifact -> the text below its format in `formats.py`."""
    body = ast.parse(Path(formats.__file__).read_text(encoding="utf-8")).body
    notes = {}
    for one, following in itertools.pairwise(body):
        if not (isinstance(one, ast.Assign) and isinstance(one.targets[0], ast.Name)):
            continue
        value = getattr(formats, one.targets[0].id)
        if (
            isinstance(value, formats.Format)
            and isinstance(following, ast.Expr)
            and isinstance(following.value, ast.Constant)
        ):
            text = " ".join(str(following.value.value).split())
            notes[value.artifact] = re.sub(r" (\d+): ", r"<br>\1: ", text)
    return notes


if __name__ == "__main__":
    main()
