"""Find the MLflow runs that made a build, or were made from it."""

from dataclasses import dataclass

from headrace.tracking.store import Store, open_client

STAGE_TAG = "headrace.stage"
"""Tag of a run: the stage that it is of."""
DATASET_TAG = "headrace.dataset"
"""Tag of a run: the version of the dataset that it made, or used."""
BUILD_TAG = "headrace.build"
"""Tag of a run: the id of the build that it made, or used."""


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
    """Find the runs of the store's experiment with this build's tag, the oldest first."""
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
