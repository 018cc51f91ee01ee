"""Name metrics as MLflow shows them: in groups before a slash, each a section of its charts.

Inside Headrace, in results, checkpoints and gates, a metric is `train_loss`, `val_roc_auc` or
`test_roc_auc`. In MLflow these are `train/loss`, `validation/roc_auc` and `test/roc_auc`; what says
how fast a training was is in `performance/`. MLflow sorts groups by name, so `loss/` has the two
curves that everybody looks at first once more. Runs of before have the names of results.
"""

import re
from collections.abc import Mapping

_GROUPS = {"train": "train", "val": "validation", "test": "test"}
_OF_OTHER_VERSION = re.compile(r"test_on_version_(\d+)_(.+)")
# Of a training's epoch, beside those that say in which split they are.
_OF_TRAIN = ("learning_rate",)
_LOSSES = {"train_loss": "loss/train", "val_loss": "loss/validation"}


def name_metric(name: str) -> str:
    """Return MLflow's name of a metric that results have.

    >>> name_metric("val_roc_auc"), name_metric("rows_per_second")
    ('validation/roc_auc', 'performance/rows_per_second')
    >>> name_metric("test_on_version_3_log_loss")
    'test/on_version_3/log_loss'
    """
    if match := _OF_OTHER_VERSION.fullmatch(name):
        return f"test/on_version_{match[1]}/{match[2]}"
    split, separator, rest = name.partition("_")
    if separator and split in _GROUPS:
        return f"{_GROUPS[split]}/{rest}"
    return f"train/{name}" if name in _OF_TRAIN else f"performance/{name}"


def name_metrics(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return metrics of results by MLflow's names."""
    return {name_metric(name): value for name, value in metrics.items()}


def name_epoch_metrics(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return an epoch's metrics by MLflow's names, and the losses as the first group once more."""
    losses = {own: metrics[name] for name, own in _LOSSES.items() if name in metrics}
    return {**losses, **name_metrics(metrics)}


def name_step_metrics(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return a step's metrics by MLflow's names: `train/step_loss`."""
    return {f"train/step_{name}": value for name, value in metrics.items()}


def name_best_metrics(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return what the best epoch reached by MLflow's names: `validation/best_roc_auc`.

    How fast that epoch was is left out: no model is chosen by it.
    """
    best = {}
    for name, value in metrics.items():
        group, _, rest = name_metric(name).partition("/")
        if name.partition("_")[0] in _GROUPS:
            best[f"{group}/best_{rest}"] = value
    return best
