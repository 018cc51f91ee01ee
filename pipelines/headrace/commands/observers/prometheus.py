"""Stages as metrics of Prometheus: files for node_exporter's textfile collector, or a Pushgateway.

A job ends before it would be scraped. Each stage of each recipe has a file, or a group of the
gateway, of its own, so that stages which run at different times do not wipe each other out.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Gauge, push_to_gateway, write_to_textfile
from prometheus_client.parser import text_string_to_metric_families

from headrace.commands.observers import Quietly
from headrace.progress import Progress

# Shortest time between two updates of a stage that goes on, seconds.
_EVERY = 5.0
_TIMEOUT = 5.0
_SUCCESS = "headrace_stage_last_success_time_seconds"


class Prometheus:
    """See the module; an `Observer`."""

    def __init__(
        self, recipe: str, folder: str | None, gateway: str | None, say: Callable[[str], None]
    ) -> None:
        """
        Args:
            recipe: its name, a label.
            folder: where `headrace_<recipe>_<stage>.prom` is written.
            gateway: URL of a Pushgateway.
            say: tells people what could not be told.
        """
        self._recipe, self._folder, self._gateway = recipe, folder, gateway
        self._quietly = Quietly("metrics for Prometheus could not be left", say)
        self._stages: dict[str, _Stage] = {}

    def began(self, stage: str) -> None:
        with self._quietly:
            if self._folder:
                Path(self._folder).mkdir(parents=True, exist_ok=True)
            success = _last_success(self._file(stage))
            self._stages[stage] = _Stage(self._recipe, stage, success)
            self._tell(stage)

    def progressed(self, stage: str, progress: Progress) -> None:
        with self._quietly:
            here = self._stages[stage]
            here.progressed(progress)
            if time.monotonic() - here.told > _EVERY:
                self._tell(stage)

    def ended(self, stage: str, result: Mapping[str, Any]) -> None:
        with self._quietly:
            self._stages[stage].ended(True, result)
            self._tell(stage)

    def failed(self, stage: str, error: BaseException) -> None:
        with self._quietly:
            self._stages[stage].ended(False, {})
            self._tell(stage)

    def _file(self, stage: str) -> Path | None:
        if not self._folder:
            return None
        return Path(self._folder) / f"headrace_{self._recipe}_{stage}.prom"

    def _tell(self, stage: str) -> None:
        here, file = self._stages[stage], self._file(stage)
        here.told = time.monotonic()
        if file:
            write_to_textfile(str(file), here.registry)  # renamed when it is whole
        if self._gateway:
            group = {"recipe": self._recipe, "stage": stage}
            push_to_gateway(
                self._gateway, "headrace", here.registry, grouping_key=group, timeout=_TIMEOUT
            )


class _Stage:
    """The metrics of one stage."""

    def __init__(self, recipe: str, stage: str, success: float | None) -> None:
        self.registry = CollectorRegistry()
        self.told = 0.0
        self._labels = (recipe, stage)
        self._began = time.time()
        self._running = self._gauge("headrace_stage_running", "1 while it runs.")
        self._running.set(1)
        self._gauge("headrace_stage_start_time_seconds", "When it began.").set(self._began)
        self._success = self._gauge(_SUCCESS, "When it last ended well.") if success else None
        if self._success and success:
            self._success.set(success)
        self._progress = self._gauge("headrace_stage_progress_ratio", "Of the step under way.")
        self._values: Gauge | None = None
        self._rows: Gauge | None = None

    def progressed(self, progress: Progress) -> None:
        if progress.total:
            self._progress.set((progress.done or 0) / progress.total)
        self._measured(progress.metrics or {})

    def ended(self, well: bool, result: Mapping[str, Any]) -> None:
        now = time.time()
        self._running.set(0)
        self._gauge("headrace_stage_duration_seconds", "How long it took.").set(now - self._began)
        self._gauge("headrace_stage_succeeded", "Whether it ended well.").set(int(well))
        if well:
            self._success = self._success or self._gauge(_SUCCESS, "When it last ended well.")
            self._success.set(now)
        self._measured(result.get("metrics", {}))
        for state, rows in _rows_of(result.get("processed", result.get("ledger", {}))):
            if self._rows is None:
                self._rows = self._gauge("headrace_rows", "Rows of the ledger.", "state")
            self._rows.labels(*self._labels, state).set(rows)

    def _measured(self, metrics: Mapping[str, float]) -> None:
        for name, value in metrics.items():
            if self._values is None:
                self._values = self._gauge("headrace_metric", "Of the newest epoch.", "name")
            self._values.labels(*self._labels, name).set(value)

    def _gauge(self, name: str, said: str, *labels: str) -> Gauge:
        gauge = Gauge(name, said, ("recipe", "stage", *labels), registry=self.registry)
        return gauge if labels else gauge.labels(*self._labels)


def _rows_of(ledger: Mapping[str, Any]) -> list[tuple[str, float]]:
    found = []
    for state, rows in ledger.items():
        if isinstance(rows, Mapping):
            found += [(f"{state}: {name}", float(n)) for name, n in rows.items()]
        elif isinstance(rows, int):
            found.append((state, float(rows)))
    return found


def _last_success(file: Path | None) -> float | None:
    """As an earlier run left it: a run that fails must not forget it."""
    if not file or not file.exists():
        return None
    for family in text_string_to_metric_families(file.read_text()):
        for sample in family.samples:
            if sample.name == _SUCCESS:
                return float(sample.value)
    return None
