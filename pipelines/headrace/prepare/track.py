"""Record a published build in MLflow: its ledger as metrics, its report and transform as files."""

from collections.abc import Mapping

from headrace.lake.data_file import SPLITS
from headrace.lake.version import DatasetVersion
from headrace.recipe import Recipe
from headrace.tracking.lineage import BUILD_TAG
from headrace.tracking.run import start_run
from headrace.tracking.store import Store


def record_build(
    recipe: Recipe, dataset: DatasetVersion, seconds: Mapping[str, float], store: Store
) -> str:
    """Make a finished run of the build, tagged `headrace.stage: prepare`; returns its id.

    Args:
        recipe: that the build was made by; logged as parameters.
        dataset: the version that the build published.
        seconds: time a step.
        store: the MLflow to record it in.
    """
    build, ledger = dataset.build, dataset.build.ledger
    with start_run(store, f"{recipe.name}-prepare-{build.build_id}") as run:
        run.params(recipe.resolved())
        run.tags(
            {
                "headrace.stage": "prepare",
                BUILD_TAG: build.build_id,
                "headrace.dataset": f"{dataset.version}",
                "headrace.drifted": ", ".join(d.name for d in build.drift if d.drifted)[:500],
            }
        )
        run.dataset_input(
            name=recipe.name,
            root=dataset.root,
            version=dataset.version,
            digest=dataset.digest,
            rows={split: dataset.rows(split) for split in SPLITS},
            context="prepared",
        )
        run.metrics(
            {
                "rows.read": ledger.read,
                "rows.processed": build.processed.read,
                **{f"drift.{d.measure}.{d.name}": d.value for d in build.drift},
                **{f"rows.published.{split}": n for split, n in ledger.published.items()},
                "rows.quarantined": sum(ledger.quarantined.values()),
                "rows.duplicates": ledger.duplicates,
                "rows.filtered": sum(ledger.filtered.values()),
                **{f"seconds.{step}": spent for step, spent in seconds.items()},
            }
        )
        run.text(dataset.text("report.html"), "report.html")
        run.text(dataset.text("profile.json"), "profile.json")
        run.text(dataset.transform_json, "transform.json")
        run.text(build.ledger_json(), "ledger.json")
    return run.run_id
