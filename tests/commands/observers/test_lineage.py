"""OpenLineage events of stages: inputs, outputs and versions."""

from pathlib import Path
from typing import Any

import pytest
from openlineage.client.serde import Serde

from headrace.commands.observers import lineage
from headrace.commands.observers.lineage import Lineage
from headrace.progress import Progress
from headrace.recipe import Recipe
from tests.tiny import tiny_recipe


class Client:
    """Keeps the events of all clients as JSON objects."""

    events: list[dict[str, Any]]

    def emit(self, event: Any) -> None:
        self.events.append(Serde.to_dict(event))


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    Client.events = []
    monkeypatch.setattr(lineage, "OpenLineageClient", Client)
    return Client.events


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    overrides = (
        "source.tables.visits={path: 's3a://lake/visits'}",
        "source.tables.shops={table: raw.shops}",
        "dataset.path='s3://key:hunter2@lake/datasets/tiny'",
        "tracking.uri='http://mlflow:5000'",
    )
    return tiny_recipe(tmp_path, *overrides)


def names_of(datasets: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(dataset["namespace"], dataset["name"]) for dataset in datasets]


DATASET = ("s3://***@lake", "datasets/tiny")
MODEL = ("http://mlflow:5000", "tiny/5")


def test_prepare_reads_tables_and_writes_a_version(
    events: list[dict[str, Any]], recipe: Recipe
) -> None:
    observer = Lineage(recipe, "lake-team", pytest.fail)
    observer.on_stage_start("prepare")
    observer.on_progress("prepare", Progress("reading"))
    observer.on_stage_end(
        "prepare",
        {"dataset": {"version": 3}, "ledger": {"published": {"train": 60, "test": 10}}},
    )
    start, complete = events
    assert (start["eventType"], complete["eventType"]) == ("START", "COMPLETE")
    assert start["run"]["runId"] == complete["run"]["runId"]
    assert (complete["job"]["namespace"], complete["job"]["name"]) == ("lake-team", "tiny.prepare")
    assert names_of(start["inputs"]) == names_of(complete["inputs"]) == [
        ("s3://lake", "visits"), ("spark_catalog", "raw.shops"),
    ]  # fmt: skip
    assert start["outputs"] == []
    (output,) = complete["outputs"]
    assert names_of([output]) == [DATASET]
    assert output["facets"]["version"]["datasetVersion"] == "3"
    assert output["outputFacets"]["outputStatistics"]["rowCount"] == 70
    assert "hunter2" not in str(events)


@pytest.mark.parametrize(
    ("stage", "inputs", "outputs"),
    [
        ("train", [DATASET], [MODEL]),
        ("evaluate", [DATASET, MODEL], []),
        ("promote", [DATASET, MODEL], []),
    ],
)
def test_later_stages_read_the_dataset_and_models(
    stage: str, inputs: list[tuple[str, str]], outputs: list[tuple[str, str]],
    events: list[dict[str, Any]], recipe: Recipe,
) -> None:  # fmt: skip
    observer = Lineage(recipe, "default", pytest.fail)
    observer.on_stage_start(stage)
    observer.on_stage_end(stage, {"model_uri": "models:/tiny/5", "dataset": {"version": 3}})
    complete = events[-1]
    assert names_of(complete["inputs"]) == inputs
    assert names_of(complete["outputs"]) == outputs
    assert complete["inputs"][0]["facets"]["version"]["datasetVersion"] == "3"


def test_score_reads_a_table_and_a_model_and_writes_predictions(
    events: list[dict[str, Any]], recipe: Recipe
) -> None:
    observer = Lineage(recipe, "default", pytest.fail)
    observer.on_stage_start("score")
    observer.on_stage_end(
        "score",
        {
            "source": "raw.visits",
            "model_uri": "models:/tiny/5",
            "predictions": {"path": "file:///lake/scores", "version": 2},
            "ledger": {"scored": 80},
        },
    )
    start, complete = events
    assert start["inputs"] == []
    assert names_of(complete["inputs"]) == [("spark_catalog", "raw.visits"), MODEL]
    (output,) = complete["outputs"]
    assert names_of([output]) == [("file", "/lake/scores")]
    assert output["facets"]["version"]["datasetVersion"] == "2"
    assert output["outputFacets"]["outputStatistics"]["rowCount"] == 80


def test_a_failure_has_its_message_without_secrets(
    events: list[dict[str, Any]], recipe: Recipe
) -> None:
    observer = Lineage(recipe, "default", pytest.fail)
    for error in (OSError("s3://key:hunter2@host is gone"), KeyboardInterrupt()):
        observer.on_stage_start("train")
        observer.on_stage_failure("train", error)
    failures = [event for event in events if event["eventType"] == "FAIL"]
    messages = [event["run"]["facets"]["errorMessage"]["message"] for event in failures]
    assert messages == ["s3://***@host is gone", "KeyboardInterrupt"]
    assert failures[0]["run"]["runId"] != failures[1]["run"]["runId"]


def test_a_client_that_cannot_be_opened_is_reported_once(
    monkeypatch: pytest.MonkeyPatch, recipe: Recipe
) -> None:
    def refuse() -> None:
        raise ValueError("OPENLINEAGE_CONFIG: no such file")

    monkeypatch.setattr(lineage, "OpenLineageClient", refuse)
    lines: list[str] = []
    observer = Lineage(recipe, "default", lines.append)
    observer.on_stage_start("train")
    observer.on_stage_end("train", {"model_uri": "models:/tiny/5"})
    assert lines == [
        "OpenLineage events could not be sent: ValueError: OPENLINEAGE_CONFIG: no such file"
    ]


@pytest.mark.parametrize(
    ("path", "table", "expected"),
    [
        ("s3a://lake/raw/flights", None, ("s3://lake", "raw/flights")),
        ("s3n://lake/raw", None, ("s3://lake", "raw")),
        ("gs://lake", None, ("gs://lake", "/")),
        ("hdfs://name:9000/raw", None, ("hdfs://name:9000", "raw")),
        ("/lake/raw", None, ("file", "/lake/raw")),
        ("file:///lake/../raw", None, ("file", "/raw")),
        (None, "raw.flights", ("spark_catalog", "raw.flights")),
    ],
)
def test_tables_are_named_as_openlineage_names_them(
    path: str | None, table: str | None, expected: tuple[str, str]
) -> None:
    """https://openlineage.io/docs/spec/naming"""
    assert lineage._name_table(path, table) == expected
