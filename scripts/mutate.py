"""Mutate the rooms that exactness depends on, and say which mutants no unit test notices.

    python scripts/mutate.py [ROOM ...]        # stream/plan lake transform features train/step …

mutmut changes one thing of a function at a time (an operator, a number, a keyword) and runs the
unit tests that reach it. It works on a copy of the tree below `--workdir`, where results are kept:
a second run tests only what has changed. `--sample 300` tries as many mutants of each room, drawn
by a fixed seed: an estimate within some 3 points. Prints the share killed by room and the
survivors; ends with 1 where a room is below 90%.
"""

import argparse
import collections
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).parents[1]
_LEAST_KILLED = 0.9
# Room -> the unit tests that answer for it.
ROOMS = {
    "stream/plan": ["tests/stream/test_plan.py"],
    "stream/row_ranges": ["tests/stream/test_plan.py", "tests/stream/test_row_ranges.py"],
    "lake": ["tests/lake"],
    "transform": ["tests/transform"],
    "features": ["tests/features", "tests/transform"],
    "train/step": ["tests/train/test_step.py", "tests/train/test_step_updates.py"],
    "distributed/supervise": ["tests/distributed"],
}
_CONFIG = """
[tool.mutmut]
source_paths = ["src"]
only_mutate = {files}
do_not_mutate = {left_out}
also_copy = ["conf", "jobs"]
pytest_add_cli_args = ["-p", "no:cacheprovider", "-m", "not spark and not e2e and not long"]
pytest_add_cli_args_test_selection = {tests}
process_isolation = "forkserver"
timeout_multiplier = 5.0
timeout_constant = 10.0

[tool.pytest.ini_options]
testpaths = ["tests"]
addopts = "-q --strict-markers"
markers = ["spark: x", "e2e: x", "long: x"]
filterwarnings = ["ignore"]
"""
# Keras reads the signature of a layer's `__init__`, which mutmut replaces.
_LEFT_OUT = ["src/headrace/transform/graph.py"]
_SURVIVED = ("survived", "no tests", "suspicious", "not checked")


def main() -> None:
    """Mutate one room after the other."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rooms", nargs="*", default=list(ROOMS), metavar="ROOM")
    parser.add_argument("--workdir", default=str(_ROOT / "var/mutate"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--sample", type=int, help="mutants per room (default: all)")
    arguments = parser.parse_args()
    weak = []
    for room in arguments.rooms:
        results = mutate_room(
            room, Path(arguments.workdir).absolute(), arguments.workers, arguments.sample
        )
        survivors = [name for name, status in results.items() if status in _SURVIVED]
        killed = 1 - len(survivors) / max(1, len(results))
        counts = dict(collections.Counter(results.values()))
        print(f"{room}: {killed:.1%} of {len(results)} mutants killed {json.dumps(counts)}")
        for name in survivors:
            print(f"    {results[name]}: {name}", flush=True)
        if killed < _LEAST_KILLED:
            weak.append(room)
    sys.exit(f"below {_LEAST_KILLED:.0%}: {', '.join(weak)}" if weak else 0)


def mutate_room(room: str, workdir: Path, workers: int, sample: int | None) -> dict[str, str]:
    """Run mutmut over a room, or over so many mutants of it.

    Returns:
        The status of each mutant that was tried, by its name.
    """
    stage = workdir / room.replace("/", "-")
    copy_tree(stage)
    path = f"src/headrace/{room}"
    files = [f"{path}.py" if (stage / f"{path}.py").exists() else f"{path}/*"]
    config = _CONFIG.format(
        files=json.dumps(files), left_out=json.dumps(_LEFT_OUT), tests=json.dumps(ROOMS[room])
    )
    (stage / "pyproject.toml").write_text(config)
    mutmut = str(Path(sys.executable).parent / "mutmut")
    command = [mutmut, "run", "--max-children", str(workers)]
    # Equal examples in every run: a mutant is not to be killed by luck.
    environment = {**os.environ, "HYPOTHESIS_PROFILE": "mutation"}
    with (stage / "mutmut.log").open("w") as log:

        def run_mutmut(*names: str) -> None:
            subprocess.run(
                [*command, *names], cwd=stage, env=environment, stdout=log,
                stderr=subprocess.STDOUT, check=False,
            )  # fmt: skip

        names: list[str] = []
        if sample is not None:
            run_mutmut("no-such-mutant")  # generates the mutants, and times the tests
            names = draw_mutants(stage, sample)
        run_mutmut(*names)
    listed = subprocess.run(
        [mutmut, "results", "--all", "true"], cwd=stage, capture_output=True, text=True, check=True
    )
    pairs = (line.rsplit(": ", 1) for line in listed.stdout.splitlines() if ": " in line)
    results = {name.strip(): status.strip() for name, status in pairs}
    if names:
        results = {name: status for name, status in results.items() if name in set(names)}
    if not results:
        sys.exit(f"{room}: no mutant was tried; see {stage}/mutmut.log")
    return results


def draw_mutants(stage: Path, count: int) -> list[str]:
    """Draw so many names of generated mutants, the same ones in every run."""
    names = sorted(
        name
        for path in (stage / "mutants").rglob("*.meta")
        for name in json.loads(path.read_text())["exit_code_by_key"]
    )
    chooser = random.Random(20)  # noqa: S311 (not for secrets)
    return sorted(chooser.sample(names, min(count, len(names))))


def copy_tree(stage: Path) -> None:
    """Copy what tests need; mutmut keeps its own results in `mutants/` beside it."""
    stage.mkdir(parents=True, exist_ok=True)
    for source, target in (
        ("pipelines/headrace", "src/headrace"), ("tests", "tests"), ("conf", "conf"),
        ("jobs", "jobs"),
    ):  # fmt: skip
        shutil.rmtree(stage / target, ignore_errors=True)
        ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
        shutil.copytree(_ROOT / source, stage / target, ignore=ignored)


if __name__ == "__main__":
    main()
