"""Results of stages, as JSON objects and as lines for people."""

from dataclasses import replace

from headrace.commands.results import (
    build_evaluate_result,
    build_prepare_result,
    build_train_result,
    format_ledger,
    format_metrics,
    format_references,
    format_result,
    format_verdict,
    merge_results,
)
from headrace.lake import Ledger
from headrace.lake.time_boundaries import TimeBoundaries
from tests.commands.stage_outcomes import (
    LEDGER,
    LEDGER_JSON,
    build_dataset,
    build_evaluated,
    build_prepared,
    build_trained,
)

DATASET_JSON = {
    "dataset": {
        "path": "/lake/tiny",
        "version": 3,
        "build_id": "b3",
        "digest": build_dataset().digest,
    },
    "ledger": LEDGER_JSON,
}


def test_a_prepare_result() -> None:
    assert build_prepare_result(build_prepared()) == {
        **DATASET_JSON,
        "split": None,  # the record has none
        "published": True,
        "why": "",
        "processed": LEDGER_JSON,  # a build of all rows
        "drifted": ["amount"],
        "differences": {},
        "report": "/lake/tiny/_headrace/b3/report.html",
        "quarantine": "/lake/tiny/_headrace/b3/quarantine",
        "seconds": {"prepare": {"all": 1.5}},
    }


def test_boundaries_that_follow_from_the_rows_are_said() -> None:
    prepared = build_prepared()
    time = {"column": "at", "validation": 0.1, "test": 0.1}
    boundaries = TimeBoundaries(validation_from=0, test_from=1_500_000, newest=86_400_000_000)
    changes = {"recipe": {"split": {"time": time}}, "time_boundaries": boundaries}
    dataset = replace(prepared.dataset, build=prepared.dataset.build.model_copy(update=changes))
    result = build_prepare_result(replace(prepared, dataset=dataset))
    assert result["split"]["kind"] == "time"
    assert (
        "Split    by at: validation from 1970-01-01T00:00:00Z, test from "
        "1970-01-01T00:00:01.500000Z, newest row 1970-01-02T00:00:00Z at its fit"
    ) in format_result(result, "")


def test_a_train_result() -> None:
    assert build_train_result(build_trained()) == {
        **DATASET_JSON,
        "run_id": "run-2",
        "run_url": "http://m/#/runs/run-2",
        "model_uri": "models:/tiny/5",
        "metrics": {"val_loss": 0.25},
        "weights_checksum": ["abc", "abc"],
        "seconds": {"train": {"all": 2.5}},
        "first_step_at": 12.0,
    }


def test_an_evaluate_result_names_the_split_in_its_metrics() -> None:
    result = build_evaluate_result(build_evaluated(passed=False))
    assert result == {
        **DATASET_JSON,
        "run_id": "run-2",
        "run_url": "http://m/#/runs/run-2",
        "model_uri": "models:/tiny/5",
        "metrics": {"test_roc_auc": 0.7},
        "headline": ["test_roc_auc"],
        "verdict": {
            "passed": False,
            "gates": [{"text": "roc_auc 0.7 is at least 0.5", "passed": False}],
        },
        "evaluation_report": "evaluation/test/report.html",
        "seconds": {"evaluate": {"all": 3.5}},
    }


def test_objects_of_the_same_name_are_merged_and_later_values_win() -> None:
    merged = merge_results(
        {"seconds": {"prepare": 1}, "run_id": "a", "report": "p"},
        {"seconds": {"train": 2}, "run_id": "b"},
        {"seconds": 7},
    )
    assert merged == {"seconds": 7, "run_id": "b", "report": "p"}
    assert merge_results({"a": {"x": 1, "y": 1}}, {"a": {"y": 2}}) == {"a": {"x": 1, "y": 2}}


def test_a_ledger_for_people() -> None:
    assert format_ledger(LEDGER, "Rows") == [
        "Rows",
        "  rows read                            100",
        "    published, train                    60",
        "    published, validation               20",
        "    published, test                     10",
        "    quarantined, label                   4",
        "    duplicates                           5",
        "    filtered, where                      1",
        "  accounted for                        100",
    ]


def test_numbers_of_a_ledger_stay_below_each_other() -> None:
    quarantined = {"Weight_in_lbs is integer and more": 4, "label": 0, "x" * 80: 1}
    ledger = Ledger(read=5, published={}, quarantined=quarantined, duplicates=0, filtered={})
    lines = format_ledger(ledger)[1:]
    assert {len(line) for line in lines} == {80, 2 + 2 + len("quarantined, ") + 80 + 12}
    assert sum(len(line) == 80 for line in lines) == len(lines) - 1


def test_a_ledger_says_that_nothing_was_quarantined() -> None:
    ledger = Ledger(read=1, published={"train": 1}, quarantined={}, duplicates=0, filtered={})
    assert "    quarantined                          0" in format_ledger(ledger)


def test_a_verdict_for_people() -> None:
    gates = [{"text": "one", "passed": True}, {"text": "two", "passed": False}]
    assert format_verdict({"passed": False, "gates": gates}) == [
        "Verdict failed: the model is not to be promoted",
        "  passed  one",
        "  FAILED  two",
    ]
    assert format_verdict({"passed": None, "gates": []}) == [
        "Verdict none: evaluate.gates is [], so nothing was judged"
    ]


def test_references_for_people() -> None:
    references = {
        "words": {"log_loss": "better than the constant by 0.21 ± 0.02", "roc_auc": ""},
        "left_out": {"tree": "photo is an image"},
        "notes": ["they were not kept"],
    }
    assert format_references(references) == [
        "References",
        "  log_loss                    better than the constant by 0.21 ± 0.02",
        "  without tree: photo is an image",
        "  they were not kept",
    ]
    assert format_references({}) == []


def test_metrics_for_people() -> None:
    metrics = {"rows": 29496.0, "roc_auc": 0.75912, "f1": 1.0, "mse": 1234.5678, "epochs": 6.0}
    assert format_metrics("Test", metrics) == [
        "Test",
        "  rows                                29,496",
        "  roc_auc                            0.75912",
        "  f1                                       1",
        "  mse                                1,234.6",
        "  epochs                                   6",
    ]


def list_titles(lines: list[str]) -> list[str]:
    return [line for line in lines if not line.startswith(" ")]


def test_results_of_all_stages_for_people() -> None:
    result = merge_results(
        build_prepare_result(build_prepared()),
        build_train_result(build_trained()),
        build_evaluate_result(build_evaluated()),
    )
    lines = format_result(result, "mlflow ui")
    assert list_titles(lines) == [
        "Row ledger",
        "Dataset  /lake/tiny, version 3",
        "Report   /lake/tiny/_headrace/b3/report.html",
        "Rejected /lake/tiny/_headrace/b3/quarantine",
        "Test split                 model",
        "Verdict passed",
        "Judged   evaluation/test/report.html, an artifact of the model's run",
        "Model    models:/tiny/5 (takes raw rows), run run-2",
        "MLflow   mlflow ui",
        "Run      http://m/#/runs/run-2",
    ]


def test_verbose_has_all_metrics_and_the_comparisons_in_words() -> None:
    result = build_evaluate_result(build_evaluated())
    result["verdict"]["references"] = {
        "words": {"roc_auc": "better than the constant by 0.2 ± 0.1"},
        "left_out": {"tree": "photo is an image"},
    }
    words = "  roc_auc                     better than the constant by 0.2 ± 0.1"
    assert words not in format_result(result, "")
    assert "  without tree: photo is an image" in format_result(result, "")
    verbose = format_result(result, "", verbose=True)
    assert words in verbose
    assert "All metrics" in verbose


def test_a_report_that_was_found_is_named_by_its_path() -> None:
    result = build_evaluate_result(build_evaluated())
    result["evaluation_report_path"] = "var/mlflow/artifacts/run-2/artifacts/report.html"
    assert f"Judged   {result['evaluation_report_path']}" in format_result(result, "")


def test_an_increment_shows_its_own_ledger_first() -> None:
    result = build_prepare_result(build_prepared())
    result["processed"] = LEDGER_JSON | {"read": 70, "published": {"train": 60}}
    titles = list_titles(format_result(result, ""))
    assert titles[:3] == ["Rows of this build", "Row ledger", "Dataset  /lake/tiny, version 3"]
    result["published"] = False  # nothing was processed
    assert list_titles(format_result(result, ""))[0] == "Row ledger"
