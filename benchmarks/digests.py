"""Compute digests of the recipes' results, to show that a change of code or lock has no effect.

    python -m benchmarks.digests --workdir var/digests --json before.json   # some 8 minutes
    python -m benchmarks.digests --compare before.json after.json
    python -m benchmarks.digests --engine pyarrow --ranks 2 --json alone.json

For the recipes flights, digits and weather, and for the tests' tiny one: rows of each split, the
transform, the first two epochs' batches, the weights after training, and the registered model's
predictions for the dataset's raw examples. Where figures of two runs are not equal bit for bit,
`--compare` prints how far apart they are, and exits with 1.
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
    """Compute the digests, or compare two files of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workdir", default="var/digests")
    parser.add_argument("--recipes", nargs="+", default=RECIPES, choices=RECIPES)
    parser.add_argument("--engine", default="petastorm", choices=("petastorm", "pyarrow"))
    parser.add_argument("--ranks", type=int, help="the recipe's own by default")
    parser.add_argument("--json", help="file to write the digests to")
    parser.add_argument("--compare", nargs=2, metavar=("BEFORE", "AFTER"))
    arguments = parser.parse_args()
    if arguments.compare:
        before, after = (json.loads(Path(path).read_text()) for path in arguments.compare)
        sys.exit(compare_digests(before, after))
    workdir = Path(arguments.workdir).absolute()
    engine, ranks = arguments.engine, arguments.ranks
    digests = {name: digest_recipe(name, workdir, engine, ranks) for name in arguments.recipes}
    text = json.dumps(digests, indent=1)
    print(text)
    if arguments.json:
        Path(arguments.json).write_text(text)


def digest_recipe(name: str, workdir: Path, engine: str, ranks: int | None) -> dict[str, Any]:
    """Run a recipe from its lake to a registered model, and return the digests of its results."""
    recipe = write_recipe(name, workdir)
    options = ["--set", f"stream.engine={engine}", *(["--ranks", str(ranks)] if ranks else [])]
    result = run_headrace("run", recipe, "--workdir", str(workdir), *options)
    root, version = result["dataset"]["path"], result["dataset"]["version"]
    return {
        **digest_dataset(root, version),
        "batches": digest_batches(root, engine, ranks or 1),
        "weights": result["weights_checksum"],
        "metrics": result["metrics"],
        **digest_predictions(result["tracking_uri"], result["model_uri"], root),
    }


def write_recipe(name: str, workdir: Path) -> str:
    """Write the recipe's lake, and return the recipe's path."""
    if name in _LAKES:
        lake = workdir / "lake" / _LAKES[name]
        if not lake.exists():
            run_headrace("lake", _LAKES[name], "--out", str(lake))
        return f"conf/{name}.yaml"
    import yaml

    from tests.tiny import tiny_tree, write_tiny_lake

    if not (workdir / "lake" / "visits").exists():
        write_tiny_lake(workdir / "lake")
    path = workdir / "tiny.yaml"
    path.write_text(yaml.safe_dump(tiny_tree()))
    return str(path)


def run_headrace(*words: str) -> dict[str, Any]:
    """Run `headrace`, and return its JSON result."""
    command = [str(Path(sys.executable).parent / "headrace"), *words, "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode not in (0, 3):  # 3: a gate failed, which does not matter here
        sys.exit(f"{' '.join(words)} failed with exit code {done.returncode}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def digest_dataset(root: str, version: int) -> dict[str, Any]:
    """Return digests of a version's rows by split, and of its transform without its format."""
    from headrace.lake.version import DatasetVersion

    dataset = DatasetVersion.open(root, version)
    rows = {}
    for split in ("train", "validation", "test"):
        content = "\n".join(f"{f.row_groups} {f.content}" for f in dataset.list_files(split))
        rows[split] = hashlib.sha256(content.encode()).hexdigest()
    transform = re.sub(r'"format_version": *\d+', "", dataset.transform_json)
    return {
        "dataset": dataset.digest,
        "rows": rows,
        "transform": hashlib.sha256(transform.encode()).hexdigest(),
        "ledger": dataset.build.ledger.model_dump(),
    }


def digest_batches(root: str, engine: str = "petastorm", ranks: int = 1) -> dict[str, str]:
    """Return a digest of the first two epochs' batches of each split of the newest version.

    They are those of all ranks together, so that they do not depend on how many there are.
    """
    from headrace.lake.version import DatasetVersion
    from headrace.stream.columns import build_feature_columns, list_weight_columns
    from headrace.stream.split_stream import SplitStream
    from headrace.transform.spec import TransformSpec

    dataset = DatasetVersion.open(root)
    spec = TransformSpec.from_json(dataset.transform_json)
    digests = {}
    for split in ("train", "validation", "test"):
        streams = [
            SplitStream.for_split(
                dataset, split, build_feature_columns(spec, list_weight_columns(spec)), rank=rank,
                size=ranks, global_batch_size=16, canonical_shards=4, shuffle=split == "train",
                seed=1, engine=engine,
            )
            for rank in range(ranks)
        ]  # fmt: skip
        state = hashlib.sha256()
        for parts in zip(*(stream.read_epochs([0, 1]) for stream in streams), strict=True):
            for key in sorted(parts[0]):
                array = np.concatenate([part[key] for part in parts])
                state.update(f"{key} {array.dtype} {array.shape}".encode())
                state.update(array.tobytes())
        digests[split] = state.hexdigest()
    return digests


def digest_predictions(tracking_uri: str, model_uri: str, root: str) -> dict[str, Any]:
    """Return the registered model's predictions for the raw examples, and their digest."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import mlflow

    from headrace.lake.version import DatasetVersion

    mlflow.set_tracking_uri(tracking_uri)
    raw = DatasetVersion.open(root).read_raw_examples()
    assert raw is not None
    predictions = mlflow.pyfunc.load_model(model_uri).predict(raw.to_pandas())
    name = "probability" if "probability" in predictions else "prediction"
    values = predictions[name].to_numpy(np.float64)
    return {
        "predictions": hashlib.sha256(values.tobytes()).hexdigest(),
        "predicted": values.tolist(),
    }


def compare_digests(before: dict[str, Any], after: dict[str, Any]) -> int:
    """Print what is equal and how far apart the rest is, and return the exit code."""
    differences = 0
    for name, old in before.items():
        new = after[name]
        for key in ("ledger", "rows", "transform", "batches", "dataset", "weights", "predictions"):
            same = old[key] == new[key]
            differences += not same
            print(f"{name:<8} {key:<12} {'equal' if same else 'different'}")
        values = [np.array(item["predicted"]) for item in (old, new)]
        print(f"{name:<8} predictions apart by at most {np.abs(values[0] - values[1]).max():.3g}")
        for metric, value in old["metrics"].items():
            new_value = new["metrics"].get(metric)
            is_compared = new_value is not None and metric.startswith(("val_", "test_", "train_"))
            if is_compared and new_value != value:
                print(f"{name:<8} {metric:<28} {value:.6g} {new_value:.6g}")
    return 1 if differences else 0


if __name__ == "__main__":
    main()
