"""Record a published build in MLflow: its ledger as metrics, its report and transform as files."""

from collections.abc import Mapping

from headrace.lake.data_file import SPLITS
from headrace.lake.version import DatasetVersion
from headrace.recipe import Recipe
from headrace.tracking.lineage import BUILD_TAG, DATASET_TAG, STAGE_TAG
from headrace.tracking.run import start_run
from headrace.tracking.store import Store


def record_build(
    recipe: Recipe, dataset: DatasetVersion, seconds: Mapping[str, float], store: Store
) -> str:
    """Record a build as a finished run, tagged `headrace.stage: prepare`, and return its id.

    Args:
        recipe: that the build was made by; logged as parameters.
        dataset: the version that the build published.
        seconds: time of every step.
        store: the MLflow to record it in.
    """
    build, ledger = dataset.build, dataset.build.ledger
    with start_run(store, f"{recipe.name}-prepare-{build.build_id}") as run:
        run.log_recipe(recipe)
        run.describe(_describe_build(dataset))
        run.set_tags(
            {
                STAGE_TAG: "prepare",
                BUILD_TAG: build.build_id,
                DATASET_TAG: f"{dataset.version}",
                "headrace.drifted": ", ".join(d.name for d in build.drift if d.has_drifted)[:500],
            }
        )
        run.log_dataset(
            name=recipe.name,
            root=dataset.root,
            version=dataset.version,
            digest=dataset.digest,
            rows={split: dataset.count_rows(split) for split in SPLITS},
            context="prepared",
        )
        run.log_metrics(
            {
                "rows/read": ledger.read,
                "rows/processed": build.processed_ledger.read,
                **{f"drift/{d.measure}/{d.name}": d.value for d in build.drift},
                **{f"rows/published_{split}": n for split, n in ledger.published.items()},
                "rows/quarantined": sum(ledger.quarantined.values()),
                "rows/duplicates": ledger.duplicates,
                "rows/filtered": sum(ledger.filtered.values()),
                **{f"performance/{step}_seconds": taken for step, taken in seconds.items()},
            }
        )
        run.log_text(dataset.read_text("report.html"), "report.html")
        run.log_text(dataset.read_text("profile.json"), "profile.json")
        run.log_text(dataset.transform_json, "transform.json")
        run.log_text(build.ledger_to_json(), "ledger.json")
    return run.run_id


def _describe_build(dataset: DatasetVersion) -> str:
    """Describe a build: its version, and what became of the rows."""
    build, ledger = dataset.build, dataset.build.ledger
    rows = ", ".join(f"{count:,} {split}" for split, count in ledger.published.items())
    rejected = sum(ledger.quarantined.values())
    drifted = [column.name for column in build.drift if column.has_drifted]
    return (
        f"Version {dataset.version} of dataset {build.recipe.get('name', '')}, build "
        f"{build.build_id}.\n\n"
        f"- Rows: {ledger.read:,} read; {rows} published; {rejected:,} quarantined, "
        f"{ledger.duplicates:,} duplicates, {sum(ledger.filtered.values()):,} filtered\n"
        f"- Drifted: {', '.join(drifted[:12]) if drifted else 'no column'}"
        f"{' …' if len(drifted) > 12 else ''}\n"
    )
