"""Names of metrics in MLflow: groups before a slash, the loss in the first of them."""

from headrace.tracking.metric_names import (
    name_best_metrics,
    name_epoch_metrics,
    name_metric,
    name_step_metrics,
)


def test_a_metric_is_in_the_group_of_its_split() -> None:
    names = {
        "train_loss": "train/loss",
        "learning_rate": "train/learning_rate",
        "val_roc_auc_bound": "validation/roc_auc_bound",
        "test_tree_roc_auc": "test/tree_roc_auc",
        "test_on_version_12_log_loss": "test/on_version_12/log_loss",
        "rows_per_second": "performance/rows_per_second",
        "step_milliseconds_p50": "performance/step_milliseconds_p50",
        "table_lookup_share": "performance/table_lookup_share",
    }
    assert {name: name_metric(name) for name in names} == names


def test_the_first_group_that_mlflow_shows_is_the_loss() -> None:
    epoch = {"train_loss": 0.5, "rows_per_second": 9.0, "val_accuracy": 0.75, "val_loss": 0.25}
    named = name_epoch_metrics(epoch)
    assert named == {
        "loss/train": 0.5, "loss/validation": 0.25, "train/loss": 0.5, "validation/loss": 0.25,
        "validation/accuracy": 0.75, "performance/rows_per_second": 9.0,
    }  # fmt: skip
    assert min(name.partition("/")[0] for name in {**named, "test/loss": 0}) == "loss"
    assert name_epoch_metrics({"train_loss": 0.5}) == {"loss/train": 0.5, "train/loss": 0.5}


def test_of_the_best_epoch_what_a_model_is_chosen_by() -> None:
    best = {"train_loss": 0.5, "val_loss": 0.25, "learning_rate": 0.1, "rows_per_second": 9.0}
    assert name_best_metrics(best) == {"train/best_loss": 0.5, "validation/best_loss": 0.25}


def test_steps_have_names_of_their_own() -> None:
    assert name_step_metrics({"loss": 0.5, "learning_rate": 0.1}) == {
        "train/step_loss": 0.5, "train/step_learning_rate": 0.1,
    }  # fmt: skip
