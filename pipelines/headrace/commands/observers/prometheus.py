"""Publish stages as Prometheus metrics: to node_exporter's textfile collector or a Pushgateway.

A job ends before it would be scraped. Each stage of each recipe has a file, or a group of the
gateway, of its own, so that stages which run at different times do not overwrite each other.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Gauge, push_to_gateway, write_to_textfile
from prometheus_client.parser import text_string_to_metric_families

from headrace.commands.observers import BestEffort
from headrace.progress import Progress

# Shortest time between two updates of a running stage, seconds.
_UPDATE_INTERVAL = 5.0
_TIMEOUT = 5.0
_SUCCESS = "headrace_stage_last_success_time_seconds"


class Prometheus:
    """An `Observer` that publishes Prometheus metrics."""

    def __init__(
        self, recipe: str, folder: str | None, gateway: str | None, warn: Callable[[str], None]
    ) -> None:
        """
        Args:
            recipe: name of the recipe; a label.
            folder: where `headrace_<recipe>_<stage>.prom` is written.
            gateway: URL of a Pushgateway.
            warn: prints a line about metrics that could not be published.
        """
        self._recipe, self._folder, self._gateway = recipe, folder, gateway
        self._best_effort = BestEffort("Prometheus metrics could not be published", warn)
        self._stages: dict[str, _StageMetrics] = {}

    def on_stage_start(self, stage: str) -> None:
        with self._best_effort:
            if self._folder:
                Path(self._folder).mkdir(parents=True, exist_ok=True)
            success = _read_last_success(self._locate_file(stage))
            self._stages[stage] = _StageMetrics(self._recipe, stage, success)
            self._publish_metrics(stage)

    def on_progress(self, stage: str, progress: Progress) -> None:
        with self._best_effort:
            metrics = self._stages[stage]
            metrics.update_progress(progress)
            if time.monotonic() - metrics.published_at > _UPDATE_INTERVAL:
                self._publish_metrics(stage)

    def on_stage_end(self, stage: str, result: Mapping[str, Any]) -> None:
        with self._best_effort:
            self._stages[stage].end_stage(True, result)
            self._publish_metrics(stage)

    def on_stage_failure(self, stage: str, error: BaseException) -> None:
        with self._best_effort:
            self._stages[stage].end_stage(False, {})
            self._publish_metrics(stage)

    def _locate_file(self, stage: str) -> Path | None:
        if not self._folder:
            return None
        return Path(self._folder) / f"headrace_{self._recipe}_{stage}.prom"

    def _publish_metrics(self, stage: str) -> None:
        metrics, file = self._stages[stage], self._locate_file(stage)
        metrics.published_at = time.monotonic()
        if file:
            write_to_textfile(
                str(file), metrics.registry
            )  # written to a temporary file, then renamed
        if self._gateway:
            group = {"recipe": self._recipe, "stage": stage}
            push_to_gateway(
                self._gateway, "headrace", metrics.registry, grouping_key=group, timeout=_TIMEOUT
            )


class _StageMetrics:
    """The metrics of one stage."""

    def __init__(self, recipe: str, stage: str, success: float | None) -> None:
        self.registry = CollectorRegistry()
        self.published_at = 0.0
        self._labels = (recipe, stage)
        self._start = time.time()
        self._running = self._add_gauge("headrace_stage_running", "1 while the stage runs.")
        self._running.set(1)
        self._add_gauge("headrace_stage_start_time_seconds", "Unix time of the start.").set(
            self._start
        )
        self._success = (
            self._add_gauge(_SUCCESS, "Unix time of the last success.") if success else None
        )
        if self._success and success:
            self._success.set(success)
        self._progress = self._add_gauge(
            "headrace_stage_progress_ratio", "Progress of the current step, 0 to 1."
        )
        self._values: Gauge | None = None
        self._rows: Gauge | None = None

    def update_progress(self, progress: Progress) -> None:
        if progress.total:
            self._progress.set((progress.done or 0) / progress.total)
        self._set_metrics(progress.metrics or {})

    def end_stage(self, has_succeeded: bool, result: Mapping[str, Any]) -> None:
        now = time.time()
        self._running.set(0)
        self._add_gauge("headrace_stage_duration_seconds", "Seconds that the stage took.").set(
            now - self._start
        )
        self._add_gauge("headrace_stage_succeeded", "1 if the stage succeeded, else 0.").set(
            int(has_succeeded)
        )
        if has_succeeded:
            self._success = self._success or self._add_gauge(
                _SUCCESS, "Unix time of the last success."
            )
            self._success.set(now)
        self._set_metrics(result.get("metrics", {}))
        for state, rows in _flatten_ledger(result.get("processed", result.get("ledger", {}))):
            if self._rows is None:
                self._rows = self._add_gauge("headrace_rows", "Rows of the ledger.", "state")
            self._rows.labels(*self._labels, state).set(rows)

    def _set_metrics(self, metrics: Mapping[str, float]) -> None:
        for name, value in metrics.items():
            if self._values is None:
                self._values = self._add_gauge(
                    "headrace_metric", "Metric of the latest epoch.", "name"
                )
            self._values.labels(*self._labels, name).set(value)

    def _add_gauge(self, name: str, help_text: str, *labels: str) -> Gauge:
        gauge = Gauge(name, help_text, ("recipe", "stage", *labels), registry=self.registry)
        return gauge if labels else gauge.labels(*self._labels)


def _flatten_ledger(ledger: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Return the row counts of a ledger, those of a split, rule or reason as `state: name`."""
    counts = []
    for state, rows in ledger.items():
        if isinstance(rows, Mapping):
            counts += [(f"{state}: {name}", float(count)) for name, count in rows.items()]
        elif isinstance(rows, int):
            counts.append((state, float(rows)))
    return counts


def _read_last_success(file: Path | None) -> float | None:
    """Read when the stage last succeeded from an earlier run's file; None where it never did.

    A run that fails must not forget it.
    """
    if not file or not file.exists():
        return None
    for family in text_string_to_metric_families(file.read_text()):
        for sample in family.samples:
            if sample.name == _SUCCESS:
                return float(sample.value)
    return None
