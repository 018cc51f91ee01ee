"""Take a column of very many ids down the whole road, once: a vocabulary, not hashed.

    .venv/bin/python -m benchmarks.road_of_ids                    # 50 million ids, hours on 2 cores
    .venv/bin/python -m benchmarks.road_of_ids --ids 1000000
    .venv/bin/python -m benchmarks.road_of_ids --ids 100000000 --width 4   # within 24 GiB

A lake of rows with an id each, every id at least once, and two numbers; the label depends on the
numbers and on a hidden weight of the id. The commands that a user gives follow each other: prepare,
train on 2 ranks with the table split over them, evaluate, promote, score a part of the lake, and
serve, where one request is answered. Printed and written: seconds, the largest resident memory of
any one process and of all of them together, and the bytes of what each left.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import typer
import yaml

from benchmarks.peaks import MemoryPeaks
from benchmarks.report import describe_environment, format_table, write_json

_ROWS_PER_FILE = 2_000_000
_GIB = 2**30


def main(
    ids: Annotated[int, typer.Option(min=1000)] = 50_000_000,
    folder: Annotated[str, typer.Option(help="Everything lies here; it may go on.")] = "var/road",
    repeats: Annotated[float, typer.Option(help="Further rows for each id.")] = 0.1,
    score_files: Annotated[int, typer.Option(help="Files of the lake that are scored.")] = 2,
    width: Annotated[int, typer.Option(help="Numbers that an id is embedded as.")] = 16,
    json_: Annotated[str | None, typer.Option("--json", help="Write all figures here.")] = None,
) -> None:
    """Run the road and print what each command took."""
    root = Path(folder).absolute()
    root.mkdir(parents=True, exist_ok=True)
    lake, part = root / "lake", root / "part"
    if not lake.exists():
        _write_lake(lake, ids, repeats)
    part.mkdir(exist_ok=True)
    for file in sorted(lake.iterdir())[:score_files]:
        if not (part / file.name).exists():
            os.link(file, part / file.name)
    recipe = root / "road.yaml"
    recipe.write_text(yaml.safe_dump(_make_recipe(str(lake), width), sort_keys=False))
    command = [sys.executable, "-m", "headrace.cli"]
    options = [str(recipe), "--workdir", str(root / "work"), "--json"]
    scored = ["--input", str(part), "--output", str(root / "scores")]
    runs = []
    for name, more in (
        ("prepare", []), ("train", []), ("evaluate", []), ("promote", []), ("score", scored),
    ):  # fmt: skip
        runs.append(_run(name, [*command, name, *options, *more], root))
        typer.echo(json.dumps(runs[-1]))
    runs.append(_serve(root, lake))
    lines = [
        [r["name"], f"{r['seconds']:.0f}", f"{r['largest']:.1f}", f"{r['together']:.1f}", r["left"]]
        for r in runs
    ]
    header = ["command", "seconds", "largest process, GiB", "all processes, GiB", "GiB on disk"]
    typer.echo("\n" + format_table(header, lines))
    if json_:
        write_json(json_, {"benchmark": "road_of_ids", **describe_environment(), "runs": runs})


def _write_lake(lake: Path, ids: int, repeats: float) -> None:
    """Write the rows in random order; ids are texts of 16 hexadecimal digits."""
    aside = lake.with_name("lake.aside")
    aside.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    numbers = np.arange(ids, dtype=np.uint64)
    numbers = np.concatenate([numbers, rng.integers(0, ids, int(ids * repeats), dtype=np.uint64)])
    rng.shuffle(numbers)
    for number, start in enumerate(range(0, len(numbers), _ROWS_PER_FILE)):
        own = numbers[start : start + _ROWS_PER_FILE]
        mixed = (own + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)  # odd: each another one
        x, y = rng.normal(size=(2, len(own))).astype(np.float32)
        weight = (mixed >> np.uint64(40)).astype(np.float64) / 2**24 * 4 - 2
        chance = 1 / (1 + np.exp(-(x + 0.5 * y + weight)))
        texts = [f"{value:016x}" for value in mixed.tolist()]
        table = pa.table(
            {
                "key": pa.array(np.arange(start, start + len(own))),
                "id": pa.array(texts, pa.string()),
                "x": x,
                "y": y,
                "label": (rng.random(len(own)) < chance).astype(np.int32),
            }
        )
        pq.write_table(table, aside / f"part-{number:04d}.parquet")
    aside.rename(lake)


def _make_recipe(lake: str, width: int) -> dict[str, Any]:
    return {
        "name": "road",
        "source": {"tables": {"rows": {"path": lake}}, "main": "rows"},
        "label": {"kind": "binary", "expression": "label = 1"},
        "features": {
            "id": {"kind": "vocabulary", "column": "id"},
            "x": {"kind": "standardize", "column": "x"},
            "y": {"kind": "standardize", "column": "y"},
        },
        "split": {"key": ["key"], "fractions": {"train": 0.96, "validation": 0.02, "test": 0.02}},
        "dataset": {"path": "${workdir}/dataset"},
        "model": {
            "kind": "dlrm",
            "hidden": [64],
            "embedding_width": width,
            "embeddings": {"shard_above": 2**28},
        },
        "train": {
            "ranks": 2,
            "epochs": 1,
            "global_batch_size": 16384,
            "compare_every": 10_000,
            "optimizer": {"kind": "rowwise_adagrad", "learning_rate": 0.1},
            "checkpoint": {"keep": 1},
        },
        "evaluate": {"gates": [], "references": [], "importance_rows": 0},
        "score": {"key": ["key"]},
    }


def _run(name: str, command: list[str], root: Path) -> dict[str, Any]:
    """Run a command, and take the memory of its processes twice a second."""
    started_at = time.monotonic()
    log = root / f"{name}.log"
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
        peaks = MemoryPeaks(process.pid)
        code = process.wait()
    largest, together = peaks.stop()
    if code:
        raise SystemExit(f"{name} ended with {code}; see {log}")
    return {
        "name": name,
        "seconds": time.monotonic() - started_at,
        "largest": largest,
        "together": together,
        "left": f"{_measure(root):.1f}",
    }


def _serve(root: Path, lake: Path) -> dict[str, Any]:
    """Serve the champion by MLflow's server, and ask it for two rows, one with an unknown id."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]
    uri = f"sqlite:///{root}/work/mlflow/mlflow.db"
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # the server runs uvicorn
    environment = {**os.environ, "MLFLOW_TRACKING_URI": uri, "PATH": path}
    command = [
        sys.executable, "-m", "mlflow", "models", "serve", "-m", "models:/road@champion",
        "--env-manager", "local", "--host", "127.0.0.1", "--port", str(port),
    ]  # fmt: skip
    started_at = time.monotonic()
    with (root / "serve.log").open("w") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, start_new_session=True, env=environment
        )
        peaks = MemoryPeaks(process.pid)
        try:
            answer = _ask(port, lake)
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()
    largest, together = peaks.stop()
    typer.echo(f"serve answered {answer}")
    seconds = time.monotonic() - started_at
    sizes = {"largest": largest, "together": together, "left": f"{_measure(root):.1f}"}
    return {"name": "serve", "seconds": seconds, "answer": answer, **sizes}


def _ask(port: int, lake: Path) -> Any:
    first = pq.ParquetFile(sorted(lake.iterdir())[0]).read_row_group(0, columns=["id"])
    known = first["id"][0].as_py()
    rows = [{"id": known, "x": 0.5, "y": 0.1}, {"id": "nobody", "x": 0.5, "y": 0.1}]
    body = json.dumps({"dataframe_records": rows}).encode()
    address = f"http://127.0.0.1:{port}/invocations"
    for _ in range(600):
        try:
            request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
            with urllib.request.urlopen(request, timeout=300) as response:  # noqa: S310
                return json.loads(response.read())
        except OSError:
            time.sleep(1)
    raise SystemExit("the server did not answer; see serve.log")


def _measure(root: Path) -> float:
    files = {(s.st_dev, s.st_ino): s.st_size for f in root.rglob("*") if (s := f.lstat())}
    return sum(files.values()) / _GIB


if __name__ == "__main__":
    typer.run(main)
