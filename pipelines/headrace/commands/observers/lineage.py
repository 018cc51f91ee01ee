"""Emit stages as OpenLineage runs: which tables, dataset versions and models came from which.

Where events go is OpenLineage's own configuration (OPENLINEAGE_URL, OPENLINEAGE_CONFIG, …). Names
of tables follow its naming rules: https://openlineage.io/docs/spec/naming.
"""

import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
from openlineage.client.facet_v2 import (
    dataset_version_dataset,
    error_message_run,
    output_statistics_output_dataset,
)

import headrace
from headrace.commands.observers import BestEffort
from headrace.lake.storage import normalize_s3_scheme
from headrace.progress import Progress
from headrace.recipe import Recipe
from headrace.redaction import redact_text
from headrace.tracking.environment import find_tracking_uri

_PRODUCER = f"headrace/{headrace.__version__}"


class Lineage:
    """An `Observer` that emits OpenLineage events."""

    def __init__(self, recipe: Recipe, namespace: str, warn: Callable[[str], None]) -> None:
        """
        Args:
            recipe: the recipe of the stages.
            namespace: of the OpenLineage jobs.
            warn: prints a line about events that could not be sent.
        """
        self._recipe, self._namespace = recipe, namespace
        self._best_effort = BestEffort("OpenLineage events could not be sent", warn)
        self._client: OpenLineageClient | None = None
        self._runs: dict[str, str] = {}

    def on_stage_start(self, stage: str) -> None:
        self._runs[stage] = str(uuid4())
        with self._best_effort:
            self._client = self._client or OpenLineageClient()
            self._emit_event(stage, RunState.START, inputs=self._list_inputs(stage, {}))

    def on_progress(self, stage: str, progress: Progress) -> None:
        """Ignore progress: steps are not lineage."""

    def on_stage_end(self, stage: str, result: Mapping[str, Any]) -> None:
        with self._best_effort:
            self._emit_event(
                stage,
                RunState.COMPLETE,
                self._list_inputs(stage, result),
                self._list_outputs(stage, result),
            )

    def on_stage_failure(self, stage: str, error: BaseException) -> None:
        with self._best_effort:
            message = redact_text(str(error) or type(error).__name__)
            facet = error_message_run.ErrorMessageRunFacet(message, "python")
            self._emit_event(stage, RunState.FAIL, self._list_inputs(stage, {}), error=facet)

    def _emit_event(
        self,
        stage: str,
        state: RunState,
        inputs: list[InputDataset],
        outputs: list[OutputDataset] | None = None,
        error: error_message_run.ErrorMessageRunFacet | None = None,
    ) -> None:
        if self._client is None:
            return
        self._client.emit(
            RunEvent(
                eventType=state,
                eventTime=datetime.now(UTC).isoformat(),
                producer=_PRODUCER,
                run=Run(self._runs[stage], {"errorMessage": error} if error else {}),
                job=Job(self._namespace, f"{self._recipe.name}.{stage}"),
                inputs=inputs,
                outputs=outputs or [],
            )
        )

    def _list_inputs(self, stage: str, result: Mapping[str, Any]) -> list[InputDataset]:
        if stage == "prepare":
            tables = self._recipe.source.tables.values()
            return [InputDataset(*_name_table(table.path, table.table)) for table in tables]
        if stage == "score":
            source = result.get("source", "")
            inputs = [InputDataset(*_name_table(source if "/" in source else None, source))]
            return (inputs if source else []) + [
                InputDataset(*self._name_model(uri)) for uri in _list_models(result)
            ]
        inputs = [
            InputDataset(
                *_name_table(self._recipe.dataset.path, None), facets=_describe_version(result)
            )
        ]
        if stage in ("evaluate", "promote"):
            inputs += [InputDataset(*self._name_model(uri)) for uri in _list_models(result)]
        return inputs

    def _list_outputs(self, stage: str, result: Mapping[str, Any]) -> list[OutputDataset]:
        if stage == "prepare":
            rows = sum(result.get("ledger", {}).get("published", {}).values())
            return [
                OutputDataset(
                    *_name_table(self._recipe.dataset.path, None),
                    outputFacets=_describe_rows(rows),
                    facets=_describe_version(result),
                )
            ]
        if stage == "train":
            return [OutputDataset(*self._name_model(uri)) for uri in _list_models(result)]
        if stage == "score" and "predictions" in result:
            return [
                OutputDataset(
                    *_name_table(result["predictions"]["path"], None),
                    outputFacets=_describe_rows(result["ledger"]["scored"]),
                    facets=_describe_version({"dataset": result["predictions"]}),
                )
            ]
        return []

    def _name_model(self, uri: str) -> tuple[str, str]:
        store = find_tracking_uri(self._recipe.tracking.uri, os.environ) or "mlflow"
        return redact_text(store), uri.removeprefix("models:/")


def _list_models(result: Mapping[str, Any]) -> list[str]:
    uri = result.get("model_uri")
    return [str(uri)] if uri else []


def _describe_rows(count: int) -> dict[str, Any]:
    facet = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(rowCount=count)
    return {"outputStatistics": facet}


def _describe_version(result: Mapping[str, Any]) -> dict[str, Any]:
    version = result.get("dataset", {}).get("version")
    if version is None:
        return {}
    return {"version": dataset_version_dataset.DatasetVersionDatasetFacet(str(version))}


def _name_table(path: str | None, table: str | None) -> tuple[str, str]:
    """Return namespace and name of a table by OpenLineage's naming rules.

    >>> _name_table("s3a://lake/raw/flights", None)
    ('s3://lake', 'raw/flights')
    """
    if path is None:
        return "spark_catalog", str(table)
    parts = urlsplit(normalize_s3_scheme(redact_text(path)))
    if parts.scheme in ("", "file"):
        return "file", os.path.abspath(parts.path)  # noqa: PTH100 - it may have been removed
    return f"{parts.scheme}://{parts.netloc}", parts.path.lstrip("/") or "/"
