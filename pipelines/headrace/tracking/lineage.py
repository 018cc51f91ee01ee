"""Which MLflow runs were made from, or of, a build."""

from dataclasses import dataclass

from headrace.tracking.store import Store, connect

BUILD_TAG = "headrace.build"


@dataclass(frozen=True)
class FoundRun:
    """A run that names the build.

    Attributes:
        run_id, name, status: as MLflow has them.
        stage: "prepare", "train", …
    """

    run_id: str
    name: str
    status: str
    stage: str


def runs_of(store: Store, build_id: str) -> list[FoundRun]:
    """Runs of the store's experiment with this build's tag, the oldest first."""
    client = connect(store)
    experiment = client.get_experiment_by_name(store.experiment)
    if experiment is None:
        return []
    found = client.search_runs(
        [experiment.experiment_id],
        filter_string=f"tags.`{BUILD_TAG}` = '{build_id}'",
        order_by=["attributes.start_time ASC"],
    )
    return [
        FoundRun(
            run_id=run.info.run_id,
            name=run.info.run_name or "",
            status=run.info.status,
            stage=run.data.tags.get("headrace.stage", "train"),
        )
        for run in found
    ]
