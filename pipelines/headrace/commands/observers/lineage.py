"""Stages as OpenLineage runs: which tables, dataset versions and models came from which.

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
from headrace.commands.observers import Quietly
from headrace.progress import Progress
from headrace.recipe import Recipe
from headrace.redaction import redact_text

_PRODUCER = f"headrace/{headrace.__version__}"


class Lineage:
    """See the module; an `Observer`."""

    def __init__(self, recipe: Recipe, namespace: str, say: Callable[[str], None]) -> None:
        """
        Args:
            recipe: whose stages they are.
            namespace: of the jobs.
            say: tells people what could not be told.
        """
        self._recipe, self._namespace = recipe, namespace
        self._quietly = Quietly("OpenLineage was not told", say)
        self._client: OpenLineageClient | None = None
        self._runs: dict[str, str] = {}

    def began(self, stage: str) -> None:
        self._runs[stage] = str(uuid4())
        with self._quietly:
            self._client = self._client or OpenLineageClient()
            self._tell(stage, RunState.START, inputs=self._read_by(stage, {}))

    def progressed(self, stage: str, progress: Progress) -> None:
        """Steps are not lineage."""

    def ended(self, stage: str, result: Mapping[str, Any]) -> None:
        with self._quietly:
            self._tell(
                stage, RunState.COMPLETE, self._read_by(stage, result), self._made_by(stage, result)
            )

    def failed(self, stage: str, error: BaseException) -> None:
        with self._quietly:
            said = redact_text(str(error) or type(error).__name__)
            facet = error_message_run.ErrorMessageRunFacet(said, "python")
            self._tell(stage, RunState.FAIL, self._read_by(stage, {}), error=facet)

    def _tell(
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

    def _read_by(self, stage: str, result: Mapping[str, Any]) -> list[InputDataset]:
        if stage == "prepare":
            tables = self._recipe.source.tables.values()
            return [InputDataset(*_named(t.path, t.table)) for t in tables]
        if stage == "score":
            source = result.get("source", "")
            read = [InputDataset(*_named(source if "/" in source else None, source))]
            return (read if source else []) + [
                InputDataset(*self._model(m)) for m in _models(result)
            ]
        read = [InputDataset(*_named(self._recipe.dataset.path, None), facets=_version_of(result))]
        if stage in ("evaluate", "promote"):
            read += [InputDataset(*self._model(m)) for m in _models(result)]
        return read

    def _made_by(self, stage: str, result: Mapping[str, Any]) -> list[OutputDataset]:
        if stage == "prepare":
            rows = sum(result.get("ledger", {}).get("published", {}).values())
            return [
                OutputDataset(
                    *_named(self._recipe.dataset.path, None),
                    outputFacets=_rows(rows),
                    facets=_version_of(result),
                )
            ]
        if stage == "train":
            return [OutputDataset(*self._model(m)) for m in _models(result)]
        if stage == "score" and "predictions" in result:
            return [
                OutputDataset(
                    *_named(result["predictions"]["path"], None),
                    outputFacets=_rows(result["ledger"]["scored"]),
                    facets=_version_of({"dataset": result["predictions"]}),
                )
            ]
        return []

    def _model(self, uri: str) -> tuple[str, str]:
        where = self._recipe.tracking.uri or os.environ.get("MLFLOW_TRACKING_URI") or "mlflow"
        return redact_text(where), uri.removeprefix("models:/")


def _models(result: Mapping[str, Any]) -> list[str]:
    uri = result.get("model_uri")
    return [str(uri)] if uri else []


def _rows(count: int) -> dict[str, Any]:
    facet = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(rowCount=count)
    return {"outputStatistics": facet}


def _version_of(result: Mapping[str, Any]) -> dict[str, Any]:
    version = result.get("dataset", {}).get("version")
    if version is None:
        return {}
    return {"version": dataset_version_dataset.DatasetVersionDatasetFacet(str(version))}


def _named(path: str | None, table: str | None) -> tuple[str, str]:
    """Namespace and name of a table.

    >>> _named("s3a://lake/raw/flights", None)
    ('s3://lake', 'raw/flights')
    """
    if path is None:
        return "spark_catalog", str(table)
    parts = urlsplit(redact_text(path))
    if parts.scheme in ("", "file"):
        return "file", os.path.abspath(parts.path)  # noqa: PTH100 - it may be gone
    scheme = "s3" if parts.scheme in ("s3a", "s3n") else parts.scheme
    return f"{scheme}://{parts.netloc}", parts.path.lstrip("/") or "/"
