"""Find the MLflow runs that made a build, or were made from it.

Those of a workdir's own database are read without MLflow, whose import takes seconds.
"""

import contextlib
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from headrace.tracking.database import is_current
from headrace.tracking.store import Store, open_client

STAGE_TAG = "headrace.stage"
"""Tag of a run: the stage that it is of."""
DATASET_TAG = "headrace.dataset"
"""Tag of a run: the version of the dataset that it made, or used."""
BUILD_TAG = "headrace.build"
"""Tag of a run: the id of the build that it made, or used."""

# Of the schema of the MLflow that is installed. Deleted runs are left out, as MLflow does.
_RUNS_OF_BUILD = """
    SELECT runs.run_uuid, runs.name, runs.status, stages.value
    FROM experiments
    JOIN runs ON runs.experiment_id = experiments.experiment_id
    JOIN tags AS builds ON builds.run_uuid = runs.run_uuid
    LEFT JOIN tags AS stages ON stages.run_uuid = runs.run_uuid AND stages.key = :stage_tag
    WHERE experiments.name = :experiment AND runs.lifecycle_stage = 'active'
        AND builds.key = :build_tag AND builds.value = :build_id
    ORDER BY runs.start_time, runs.run_uuid
"""


@dataclass(frozen=True)
class LineageRun:
    """A run whose tag names the build.

    Attributes:
        run_id, name, status: values of MLflow.
        stage: stage that it is of: "prepare", "train", …
    """

    run_id: str
    name: str
    status: str
    stage: str


def find_runs(store: Store, build_id: str) -> list[LineageRun]:
    """Find the runs of the store's experiment with this build's tag, the oldest first.

    Raises:
        ModelError: MLflow cannot open the store.
    """
    if store.artifacts is not None:
        file = Path(store.uri.removeprefix("sqlite:///"))
        if not file.exists():
            return []
        if is_current(file):
            with contextlib.suppress(sqlite3.Error):  # locked, or not as expected: ask MLflow
                return read_runs(file, store.experiment, build_id)
    return search_runs(store, build_id)


def read_runs(file: Path, experiment: str, build_id: str) -> list[LineageRun]:
    """Read the runs from the SQLite file of a workdir, as `search_runs` finds them.

    Raises:
        sqlite3.Error: it cannot be read, or has another schema.
    """
    values = {
        "experiment": experiment,
        "build_id": build_id,
        "build_tag": BUILD_TAG,
        "stage_tag": STAGE_TAG,
    }
    with contextlib.closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as database:
        return [
            LineageRun(run_id=run_id, name=name or "", status=status, stage=stage or "train")
            for run_id, name, status, stage in database.execute(_RUNS_OF_BUILD, values)
        ]


def search_runs(store: Store, build_id: str) -> list[LineageRun]:
    """Search for the runs through MLflow, whatever the store is.

    Raises:
        ModelError: MLflow cannot open the store.
    """
    client = open_client(store)
    experiment = client.get_experiment_by_name(store.experiment)
    if experiment is None:
        return []
    runs = client.search_runs(
        [experiment.experiment_id],
        filter_string=f"tags.`{BUILD_TAG}` = '{build_id}'",
        order_by=["attributes.start_time ASC"],
    )
    return [
        LineageRun(
            run_id=run.info.run_id,
            name=run.info.run_name or "",
            status=run.info.status,
            stage=run.data.tags.get(STAGE_TAG, "train"),
        )
        for run in runs
    ]
