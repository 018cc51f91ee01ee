"""Five metrics beside their baselines, in lines of at most 80 characters."""

from typing import Any

from headrace.commands.headline import format_headline

REFERENCES = {
    "results": {
        "constant": {
            "metrics": {"log_loss": 0.582, "accuracy": 0.7291, "pr_auc": 0.2709, "f1": 0.0},
            "differences": {"log_loss": {}, "roc_auc": {}, "accuracy": {}},
        },
        "tree": {
            "metrics": {"log_loss": 0.4995, "roc_auc": 0.76, "accuracy": 0.7412, "pr_auc": 0.545},
            "differences": {"log_loss": {}, "roc_auc": {}, "accuracy": {}},
        },
    }
}
METRICS = {
    "train_loss": 0.4672, "test_rows": 29_496.0, "test_brier": 0.1633, "test_f1": 0.5585,
    "test_accuracy": 0.6992, "test_log_loss": 0.498, "test_roc_auc": 0.7581, "test_pr_auc": 0.5412,
}  # fmt: skip


def build_result(references: dict[str, Any], *names: str) -> dict[str, Any]:
    headline = [f"test_{name}" for name in names]
    return {"metrics": METRICS, "headline": headline, "verdict": {"references": references}}


def test_the_evaluation_s_headline_is_shown_with_the_references_beside_it() -> None:
    names = ("roc_auc", "log_loss", "pr_auc", "f1", "accuracy")
    assert format_headline(build_result(REFERENCES, *names)) == [
        "Test, 29,496 rows          model  constant      tree",
        "  roc_auc                 0.7581                0.76",
        "  log_loss                 0.498     0.582    0.4995",
        "  pr_auc                  0.5412    0.2709     0.545",
        "  f1                      0.5585         0",
        "  accuracy                0.6992    0.7291    0.7412",
        "  3 more: -v, --json, and the run in MLflow",
    ]


def test_without_references_there_is_one_column() -> None:
    assert format_headline(build_result({}, "f1", "accuracy"))[:2] == [
        "Test, 29,496 rows          model",
        "  f1                      0.5585",
    ]


def test_no_line_is_wider_than_80_with_all_three_references() -> None:
    references = {"results": {**REFERENCES["results"], "label.baseline": {"metrics": {}}}}
    metrics = {**METRICS, "test_mean_absolute_percentage_error_of_all": 0.25}
    result = {"metrics": metrics, "verdict": {"references": references}}
    lines = format_headline({**result, "headline": [n for n in metrics if n.startswith("test_")]})
    assert max(map(len, lines)) <= 80
    assert lines[0].endswith("baseline")


def test_of_a_training_it_is_the_best_epoch() -> None:
    metrics = {
        "train_loss": 0.5, "rows_per_second": 9.0, "val_loss": 0.4, "val_roc_auc": 0.7,
        "val_accuracy": 0.8, "epochs": 8.0, "best_epoch": 4.0,
    }  # fmt: skip
    assert format_headline({"metrics": metrics}) == [
        "Metrics, best epoch 5 of 8",
        "  train_loss                       0.5",
        "  val_loss                         0.4",
        "  val_roc_auc                      0.7",
        "  val_accuracy                     0.8",
        "  3 more: -v, --json, and the run in MLflow",
    ]
