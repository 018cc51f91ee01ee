"""Report from the tasks of a scoring job to the driver: files, counts, predictions; they add up."""

import json
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from headrace.lake.score_record import PredictionFile


@dataclass
class TaskResults:
    """Results of some tasks; they add up.

    Attributes:
        files: that were written.
        buckets: (source partition's position, bucket) -> rows.
        counts: column -> rows in each bin or with each label.
        unknown: column -> values out of the vocabulary.
        missing: raw column -> rows where it is missing.
        rows: that were predicted.
        predictions: rows in each bin, or of each class.
        quarantined_rows, quarantine_files: rejected rows that the tasks wrote to the quarantine,
            and the names of the files.
    """

    files: list[PredictionFile] = field(default_factory=list)
    buckets: Counter[tuple[int, int]] = field(default_factory=Counter)
    counts: dict[str, np.ndarray] = field(default_factory=dict)
    unknown: Counter[str] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)
    rows: int = 0
    predictions: np.ndarray | None = None
    quarantined_rows: int = 0
    quarantine_files: list[str] = field(default_factory=list)

    def add_counts(self, name: str, counts: np.ndarray) -> None:
        """Add the counts of a column, of shape (bins,)."""
        self.counts[name] = self.counts[name] + counts if name in self.counts else counts

    def add_predictions(self, counts: np.ndarray) -> None:
        """Add counts of predictions, of shape (bins,)."""
        self.predictions = counts if self.predictions is None else self.predictions + counts

    def to_bytes(self) -> bytes:
        """Return the results as JSON."""
        plain = {
            "files": [file.model_dump() for file in self.files],
            "buckets": [[*key, rows] for key, rows in self.buckets.items()],
            "counts": {name: counts.tolist() for name, counts in self.counts.items()},
            "unknown": dict(self.unknown),
            "missing": dict(self.missing),
            "rows": self.rows,
            "quarantined_rows": self.quarantined_rows,
            "quarantine_files": self.quarantine_files,
            "predictions": None if self.predictions is None else self.predictions.tolist(),
        }
        return json.dumps(plain).encode()

    def add_bytes(self, blob: bytes) -> None:
        """Add the results that `to_bytes` wrote."""
        plain = json.loads(blob)
        predictions = plain["predictions"]
        self.add(
            TaskResults(
                files=[PredictionFile.model_validate(file) for file in plain["files"]],
                buckets=Counter({(partition, b): n for partition, b, n in plain["buckets"]}),
                counts={name: np.array(c, np.int64) for name, c in plain["counts"].items()},
                unknown=Counter(plain["unknown"]),
                missing=Counter(plain["missing"]),
                rows=plain["rows"],
                predictions=None if predictions is None else np.array(predictions, np.int64),
                quarantined_rows=plain["quarantined_rows"],
                quarantine_files=plain["quarantine_files"],
            )
        )

    def add(self, other: "TaskResults") -> None:
        """Add the results of other tasks."""
        self.files += other.files
        self.buckets.update(other.buckets)
        for name, counts in other.counts.items():
            self.add_counts(name, counts)
        self.unknown.update(other.unknown)
        self.missing.update(other.missing)
        self.rows += other.rows
        self.quarantined_rows += other.quarantined_rows
        self.quarantine_files += other.quarantine_files
        if other.predictions is not None:
            self.add_predictions(other.predictions)
