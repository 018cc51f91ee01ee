"""Show the outcome of a whole pipeline in its MLflow run: metrics, model, reports, description."""

import os
from collections.abc import Mapping
from typing import Any

from headrace.commands.console import Console
from headrace.errors import HeadraceError
from headrace.progress import Progress, Report
from headrace.recipe import Recipe
from headrace.tracking.store import Store

# Metrics of a training that its pipeline shows, beside those of the test split.
_OF_TRAINING = ("train_loss", "val_loss", "rows_per_second")
_VERDICTS = {True: "passed", False: "failed", None: "not judged"}


def complete_parent_run(
    console: Console,
    recipe: Recipe,
    workdir: str,
    run_id: str | None,
    result: Mapping[str, Any],
) -> dict[str, Any]:
    """Log the outcome of a pipeline to its run, which the stages' own are shown below.

    What the server refuses is reported: the stages are done and recorded themselves.

    Args:
        console, recipe, workdir: of the command.
        run_id: of the pipeline's run; None where there is none.
        result: of all stages.

    Returns:
        `pipeline_run_url` for the command's result, the address of the run's page.
    """
    if run_id is None:
        return {}
    from headrace.tracking.lineage import BUILD_TAG, DATASET_TAG
    from headrace.tracking.pipeline_run import complete_pipeline_run
    from headrace.tracking.run import report_outage

    def tell(progress: Progress) -> None:
        console.print_line(progress.text)

    store = Store.from_recipe(recipe, workdir, os.environ)
    folder = str(result["evaluation_report"]).rpartition("/")[0]
    texts = _read_data_report(result["dataset"], tell)
    url = None
    with report_outage(tell):
        url = complete_pipeline_run(
            store,
            run_id,
            metrics=select_headline(result),
            model_uri=result["model_uri"],
            copied={f"{folder}/{name}": name for name in ("report.html", "card.md")},
            texts=texts,
            tags={
                "headrace.verdict": _VERDICTS[result["verdict"]["passed"]],
                # `erase` looks at what names a build: here are copies of its reports.
                BUILD_TAG: result["dataset"]["build_id"],
                DATASET_TAG: str(result["dataset"]["version"]),
            },
        )
    return {"pipeline_run_url": url}


def _read_data_report(dataset: Mapping[str, Any], report: Report) -> dict[str, str]:
    from headrace.lake import DatasetVersion

    try:
        version = DatasetVersion.open(dataset["path"], dataset["version"])
        return {"data_report.html": version.read_text("report.html")}
    except HeadraceError as error:
        report(Progress(f"the pipeline's run has no data report: {error}"))
        return {}


def select_headline(result: Mapping[str, Any]) -> dict[str, float]:
    """Select the metrics of a pipeline's result that say most, and those of its baselines.

    Args:
        result: with `metrics`, `headline` and `verdict`.
    """
    metrics, headline = result["metrics"], result["headline"]
    references = result["verdict"].get("references", {}).get("results", {})
    baselines = {
        f"test_{name}_{metric}": reference["metrics"][metric]
        for metric in (name.removeprefix("test_") for name in headline)
        for name, reference in references.items()
        if metric in reference["metrics"]
    }
    shown = {name: metrics[name] for name in (*_OF_TRAINING, *headline) if name in metrics}
    return {**shown, **baselines}
