"""Digests of all that the recipes make, to show that a change of code or lock changed nothing.

    python -m benchmarks.digests --workdir var/digests --json before.json   # some 8 minutes
    python -m benchmarks.digests --compare before.json after.json

Of the recipes flights, digits and weather, and of the tests' tiny one: rows of each split, the
transform, the first two epochs' batches, the weights after training, and what the registered model
predicts of the raw rows that it keeps. Where figures of two runs are not equal bit for bit,
`--compare` says how far apart they are, and ends with 1.
"""

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

RECIPES = ("tiny", "digits", "weather", "flights")
_LAKES = {"digits": "digits", "weather": "flights", "flights": "flights"}


def main() -> None:
    """Make the digests, or compare two files of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workdir", default="var/digests")
    parser.add_argument("--recipes", nargs="+", default=RECIPES, choices=RECIPES)
    parser.add_argument("--json", help="file to write the digests to")
    parser.add_argument("--compare", nargs=2, metavar=("BEFORE", "AFTER"))
    asked = parser.parse_args()
    if asked.compare:
        before, after = (json.loads(Path(path).read_text()) for path in asked.compare)
        sys.exit(compare(before, after))
    found = {name: digests_of(name, Path(asked.workdir).absolute()) for name in asked.recipes}
    text = json.dumps(found, indent=1)
    print(text)
    if asked.json:
        Path(asked.json).write_text(text)


def digests_of(name: str, workdir: Path) -> dict[str, Any]:
    """Run a recipe from its lake to a registered model; returns what came of it."""
    recipe = recipe_of(name, workdir)
    result = run("run", recipe, "--workdir", str(workdir))
    root, version = result["dataset"]["path"], result["dataset"]["version"]
    return {
        **dataset_digests(root, version),
        "batches": batch_digests(root),
        "weights": result["weights_checksum"],
        "metrics": result["metrics"],
        **predictions_of(result["tracking_uri"], result["model_uri"], root),
    }


def recipe_of(name: str, workdir: Path) -> str:
    """Write the recipe's lake; returns the recipe's path."""
    if name in _LAKES:
        lake = workdir / "lake" / _LAKES[name]
        if not lake.exists():
            run("lake", _LAKES[name], "--out", str(lake))
        return f"conf/{name}.yaml"
    import yaml

    from tests.tiny import tiny_tree, write_tiny_lake

    if not (workdir / "lake" / "visits").exists():
        write_tiny_lake(workdir / "lake")
    path = workdir / "tiny.yaml"
    path.write_text(yaml.safe_dump(tiny_tree()))
    return str(path)


def run(*words: str) -> dict[str, Any]:
    """Run `headrace`; returns its JSON result."""
    command = [str(Path(sys.executable).parent / "headrace"), *words, "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode not in (0, 3):  # 3: a gate, which is not what is asked here
        sys.exit(f"{' '.join(words)} ended with {done.returncode}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def dataset_digests(root: str, version: int) -> dict[str, Any]:
    """Return digests of a version's rows by split, and of its transform but for its format."""
    from headrace.lake.version import DatasetVersion

    dataset = DatasetVersion.open(root, version)
    rows = {}
    for split in ("train", "validation", "test"):
        content = "\n".join(f"{f.row_groups} {f.content}" for f in dataset.files(split))
        rows[split] = hashlib.sha256(content.encode()).hexdigest()
    transform = re.sub(r'"format_version": *\d+', "", dataset.transform_json)
    return {
        "dataset": dataset.digest,
        "rows": rows,
        "transform": hashlib.sha256(transform.encode()).hexdigest(),
        "ledger": dataset.build.ledger.model_dump(),
    }


def batch_digests(root: str) -> dict[str, str]:
    """Return a digest of the first two epochs' batches of each split of the newest version."""
    from headrace.lake.version import DatasetVersion
    from headrace.stream.columns import feature_columns, weight_columns
    from headrace.stream.split_stream import SplitStream
    from headrace.transform.spec import TransformSpec

    dataset = DatasetVersion.open(root)
    spec = TransformSpec.from_json(dataset.transform_json)
    found = {}
    for split in ("train", "validation", "test"):
        stream = SplitStream.of(
            dataset, split, feature_columns(spec, weight_columns(spec)), rank=0, size=1,
            global_batch_size=16, canonical_shards=4, shuffle=split == "train", seed=1,
        )  # fmt: skip
        state = hashlib.sha256()
        for batch in stream.epochs([0, 1]):
            for key in sorted(batch):
                state.update(f"{key} {batch[key].dtype} {batch[key].shape}".encode())
                state.update(np.ascontiguousarray(batch[key]).tobytes())
        found[split] = state.hexdigest()
    return found


def predictions_of(tracking_uri: str, model_uri: str, root: str) -> dict[str, Any]:
    """Return what the registered model predicts of the dataset's raw examples."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import mlflow

    from headrace.lake.version import DatasetVersion

    mlflow.set_tracking_uri(tracking_uri)
    raw = DatasetVersion.open(root).raw_examples()
    assert raw is not None
    found = mlflow.pyfunc.load_model(model_uri).predict(raw.to_pandas())
    name = "probability" if "probability" in found else "prediction"
    values = found[name].to_numpy(np.float64)
    return {
        "predictions": hashlib.sha256(values.tobytes()).hexdigest(),
        "predicted": values.tolist(),
    }


def compare(before: dict[str, Any], after: dict[str, Any]) -> int:
    """Print what is equal and what is how far apart; returns the exit code."""
    apart = 0
    for name, one in before.items():
        other = after[name]
        for key in ("ledger", "rows", "transform", "batches", "dataset", "weights", "predictions"):
            same = one[key] == other[key]
            apart += not same
            print(f"{name:<8} {key:<12} {'equal' if same else 'different'}")
        values = [np.array(item["predicted"]) for item in (one, other)]
        print(f"{name:<8} predictions apart by at most {np.abs(values[0] - values[1]).max():.3g}")
        for metric, value in one["metrics"].items():
            now = other["metrics"].get(metric)
            if now is not None and now != value and metric.startswith(("val_", "test_", "train_")):
                print(f"{name:<8} {metric:<28} {value:.6g} {now:.6g}")
    return 1 if apart else 0


if __name__ == "__main__":
    main()
