"""Compare what models learn from the synthetic click log with the best that can be learnt.

    .venv/bin/python -m benchmarks.click_models                   # 5 million rows, 583,000 ids
    .venv/bin/python -m benchmarks.click_models --rows 500000

26 columns of ids and 13 numbers; the label follows a logistic model of two numbers and six columns,
so the best area under the ROC curve is known: that of the model itself, where what is null counts
as its mean. `dlrm` and `mlp` are trained on the same dataset by the same settings.
"""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.headrace import build_clicks_recipe
from benchmarks.lakes import ensure_clicks_lake
from benchmarks.report import describe_environment, format_table, write_json
from headrace.examples.synthetic import compute_best_logits
from headrace.recipe import sections as s

_SEED = 0  # of `benchmarks.lakes`
_MOST_EVENTS = 2_000_000
_MODELS: dict[str, s.Model] = {
    "mlp": s.Mlp(kind="mlp", hidden=[128, 64]),
    "dlrm": s.Dlrm(kind="dlrm", bottom=[64], hidden=[128, 64]),
    "dlrm, top: all": s.Dlrm(kind="dlrm", bottom=[64], hidden=[128, 64], top="all"),
}


def main(
    rows: Annotated[int, typer.Option(min=10_000)] = 5_000_000,
    epochs: Annotated[int, typer.Option(min=1)] = 2,
    ranks: Annotated[int, typer.Option(min=1)] = 2,
    workdir: Annotated[str, typer.Option(help="For lake and dataset.")] = "var/benchmarks",
    json_: Annotated[str | None, typer.Option("--json", help="Write all figures here.")] = None,
) -> None:
    """Train the models, and compare them on the test split."""
    from headrace.evaluate.run import evaluate
    from headrace.prepare import prepare
    from headrace.progress import ignore_progress
    from headrace.train.run import train

    home = Path(workdir).absolute()
    lake = ensure_clicks_lake(str(home), rows)
    # A thousandth of the numbers is a million times as large as the others.
    base = build_clicks_recipe(lake, str(home / f"clicks-log-{rows}"), numbers="log1p")
    prepare(base, workdir=str(home), report=ignore_progress)
    best = _compute_best_auc(min(rows, _MOST_EVENTS))
    typer.echo(f"best: {best:.4f}")
    settings = s.Train.model_validate(
        {
            "epochs": epochs,
            "ranks": ranks,
            "global_batch_size": 4096,
            "optimizer": {"kind": "adam", "sparse": "lazy", "learning_rate": 0.001},
            "early_stopping": {"metric": "roc_auc", "patience": epochs},
        }
    )
    results: dict[str, dict[str, Any]] = {}
    for name, section in _MODELS.items():
        recipe = base.model_copy(update={"model": section, "train": settings})
        trained = train(recipe, workdir=str(home), report=ignore_progress, resume="never")
        judged = evaluate(recipe, workdir=str(home), report=ignore_progress)
        results[name] = {
            "roc_auc": judged.metrics["roc_auc"],
            "rows_per_second": trained.metrics["rows_per_second"],
        }
        typer.echo(f"{name}: {results[name]}")
    ratios = {f"{name}_under_best": best - r["roc_auc"] for name, r in results.items()}
    typer.echo(
        format_table(
            ["model", "test AUC", "below the best", "rows/s"],
            [
                [n, f"{r['roc_auc']:.4f}", f"{ratios[f'{n}_under_best']:.4f}",
                 f"{r['rows_per_second']:,.0f}"]
                for n, r in results.items()
            ],
        )
    )  # fmt: skip
    if json_:
        figures = {"benchmark": "click_models", **describe_environment(), "rows": rows}
        write_json(json_, {**figures, "best": best, "models": results, "ratios": ratios})


def _compute_best_auc(events: int) -> float:
    from sklearn.metrics import roc_auc_score

    label, logit = compute_best_logits(np.arange(events), _SEED)
    return float(roc_auc_score(label, logit))


if __name__ == "__main__":
    typer.run(main)
