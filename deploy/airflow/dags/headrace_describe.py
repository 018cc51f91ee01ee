"""Print what Airflow has to know about the recipes in a folder, as one line of JSON.

    python headrace_describe.py FOLDER WORKDIR

The project's own Python runs it, not Airflow's: a recipe is read, resolved and checked here by the
code that reads it in every stage, so that neither its keys nor its variables are defined twice, and
a mistake is reported in the same words everywhere.

Airflow does that again and again, within a time limit that counts for all recipes together. So a
recipe is described once per change, each in a process of its own with limits on time and memory;
what is known is kept in WORKDIR/airflow. Nothing of Headrace is imported where nothing changed.
"""

import hashlib
import json
import os
import re
import resource
import select
import signal
import stat
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

# Airflow gives all recipes of a folder 30 seconds.
BUDGET_SECONDS = 18.0
CPU_SECONDS = 10
MEMORY_BYTES = 4 * 2**30
_LARGEST_RECIPE = 2**23
_CACHE_FILE = "airflow/descriptions.json"
_VARIABLE = re.compile(rb"\$\{env:([^}:]+)")
Facts = dict[str, Any] | None


def describe_recipe(path: Path, workdir: str) -> Facts:
    """Return the facts that a DAG is built from.

    Args:
        path: of the recipe.
        workdir: the recipe's `${workdir}`.

    Returns:
        `error`, or `main` (name of the main table), `schedule` (the section with all defaults),
        `on_spark` (whether ranks run on Spark) and `conf` (Spark's settings without secrets, which
        each stage reads from the recipe again). None where the file has no `schedule` section, and
        so no DAG.
    """
    import yaml

    from headrace.errors import RecipeError
    from headrace.recipe import load_recipe
    from headrace.recipe.load import read_recipe_text
    from headrace.recipe.parse import parse_yaml
    from headrace.redaction import redact_recipe, redact_text

    try:
        tree = parse_yaml(read_recipe_text(str(path)))
        if not isinstance(tree, dict) or tree.get("schedule") is None:
            return None
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        pass  # load_recipe reports what is wrong
    try:
        recipe = load_recipe(str(path), workdir=workdir, environment=os.environ)
    except RecipeError as error:
        return {"error": redact_text(str(error))}
    resolved = recipe.dump_resolved()
    public = redact_recipe(resolved)["spark"]["conf"]
    return {
        "main": recipe.source.main,
        "schedule": resolved["schedule"],
        "on_spark": recipe.train.launcher.kind == "spark",
        "conf": {
            key: value if isinstance(value, str) else json.dumps(value)
            for key, value in resolved["spark"]["conf"].items()
            if public[key] == value
        },
    }


def describe_folder(folder: str, workdir: str) -> dict[str, dict[str, Any]]:
    """Return the facts of every recipe of a folder that asks for a DAG, by path.

    Args:
        folder: of the recipes, `*.yaml`.
        workdir: the recipes' `${workdir}`; what is known of them is kept below it.
    """
    cache_file = Path(workdir) / _CACHE_FILE
    kept = _read_cache(cache_file)
    code = _compute_code_key()
    keys = {str(p): _compute_key(p, workdir, code) for p in sorted(Path(folder).glob("*.yaml"))}
    known = {path: kept[path] for path, key in keys.items() if kept.get(path, {}).get("key") == key}
    changed = [path for path in keys if path not in known]
    if changed:
        _import_headrace()
        done = _describe_each(changed, lambda path: describe_recipe(Path(path), workdir))
        known |= {path: {"key": keys[path], "facts": facts} for path, facts in done.items()}
        _write_cache(cache_file, known)
    late = {"error": "it was not read in time yet; it is read again within minutes"}
    found = {path: (known.get(path) or kept.get(path) or {"facts": late})["facts"] for path in keys}
    return {path: facts for path, facts in found.items() if facts}


def _describe_each(paths: Sequence[str], describe: Callable[[str], Facts]) -> dict[str, Facts]:
    """Describe recipes side by side, each in a process of its own; those that were done in time.

    One that takes too much time or memory of its own gets an error, which is kept until it changes.
    """
    deadline = time.monotonic() + BUDGET_SECONDS
    waiting, running, done = list(paths), dict[int, tuple[str, int]](), dict[str, Facts]()
    received: dict[int, bytes] = {}
    while waiting or running:
        while waiting and len(running) < max(2, os.cpu_count() or 1):
            path = waiting.pop(0)
            descriptor, process = _start_process(path, describe)
            running[descriptor], received[descriptor] = (path, process), b""
        ready = select.select(list(running), [], [], max(0.0, deadline - time.monotonic()))[0]
        if not ready:
            break
        for descriptor in ready:
            part = os.read(descriptor, 2**20)
            received[descriptor] += part
            if not part:
                path, process = running.pop(descriptor)
                os.close(descriptor)
                done[path] = _read_outcome(path, process, received[descriptor])
    for _, process in running.values():
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
    return done


def _start_process(path: str, describe: Callable[[str], Facts]) -> tuple[int, int]:
    """Start a process that writes the facts of one recipe; returns where, and its id."""
    reading, writing = os.pipe()
    process = os.fork()
    if process:
        os.close(writing)
        return reading, process
    code = 1
    try:
        os.close(reading)
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        content = json.dumps(describe(path)).encode()
        while content:
            content = content[os.write(writing, content) :]
        code = 0
    except BaseException as error:
        name = type(error).__name__.encode()
        os.write(writing, b"!" + name)
    os._exit(code)


def _read_outcome(path: str, process: int, content: bytes) -> Facts:
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    if status == 0:
        facts: Facts = json.loads(content)
        return facts
    how = content[1:].decode() if content.startswith(b"!") else f"signal {-status}"
    limits = f"{CPU_SECONDS} s of processor time and {MEMORY_BYTES // 2**30} GiB"
    return {"error": f"recipe {path}: it could not be read within {limits} ({how})"}


def _import_headrace() -> None:
    """Import what describes a recipe, once for all processes."""
    import headrace.recipe.load
    import headrace.redaction  # noqa: F401


def _compute_key(path: Path, workdir: str, code: str) -> str:
    """Compute what a description depends on: content, variables of the environment, the code."""
    digest = hashlib.sha256(f"{path}\0{workdir}\0{code}\0".encode())
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return f"no file, {status.st_mode}"
        with path.open("rb") as file:
            content = file.read(_LARGEST_RECIPE)
    except OSError as error:
        return f"{type(error).__name__}"
    digest.update(content)
    for name in sorted(set(_VARIABLE.findall(content))):
        value = os.environ.get(name.decode(errors="replace"))
        digest.update(f"{name!r}={value!r}\0".encode())
    return digest.hexdigest()


def _compute_code_key() -> str:
    """Compute a key of the code that describes: names, sizes and times of its files."""
    import importlib.util

    found = importlib.util.find_spec("headrace")
    digest = hashlib.sha256()
    for place in (found.submodule_search_locations or []) if found else []:
        for file in sorted(Path(place).rglob("*.py")):
            status = file.stat()
            digest.update(f"{file} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _read_cache(file: Path) -> dict[str, dict[str, Any]]:
    try:
        kept = json.loads(file.read_bytes())
        return {path: e for path, e in kept.items() if {"key", "facts"} <= e.keys()}
    except (OSError, ValueError, AttributeError):
        return {}


def _write_cache(file: Path, entries: dict[str, dict[str, Any]]) -> None:
    """Keep what is known; where that cannot be written, it is found again the next time."""
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        aside = file.with_name(f".{file.name}.{os.getpid()}")
        aside.touch(mode=0o600)
        aside.write_text(json.dumps(entries))
        aside.rename(file)
    except OSError as error:
        print(f"{file} cannot be written: {error}", file=sys.stderr)


if __name__ == "__main__":
    recipes, workdir_ = sys.argv[1:]
    if not Path(recipes).is_dir():
        sys.exit(f"there is no folder {recipes}")
    print(json.dumps(describe_folder(recipes, workdir_)))
