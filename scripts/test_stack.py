"""Run the tests that an upgrade could break against another stack, in an environment of its own.

    python scripts/test_stack.py oldest                 # the lowest that pyproject.toml allows
    python scripts/test_stack.py newest                 # the highest that it allows, today
    python scripts/test_stack.py locked --python 3.13   # those of uv.lock, on another Python
    python scripts/test_stack.py newest --spark 3.5 -- tests/stream
    python scripts/test_stack.py oldest --python 3.13 --reason "scipy 1.11 has no wheel for it"

The environment is made by uv from a copy of pyproject.toml, and kept in `.tools/stacks`. What was
run, on what, when and with which closing line, goes into docs/stacks.json and from there into the
table of docs/stacks.md; a cell that cannot be run has its reason there.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
STACKS = ROOT / ".tools" / "stacks"
RESULTS, TABLE = ROOT / "docs" / "stacks.json", ROOT / "docs" / "stacks.md"
TESTS = [
    "-m", "not long", "tests/stream", "tests/train", "tests/tracking", "tests/transform",
    "tests/e2e/test_tiny_road.py",
]  # fmt: skip
"""What an upgrade has broken before: the reader, the step, MLflow, both executions of a transform,
and a whole road."""
SPREAD = ["--numprocesses", "2", "--dist", "loadfile", "--no-loadscope-reorder"]
"""As `make test` runs tests."""
SHOWN = (
    "tensorflow", "keras", "pyspark", "pyarrow", "numpy", "pandas", "mlflow", "deltalake",
    "scikit-learn", "pydantic",
)  # fmt: skip
RESOLUTIONS = {"oldest": ["--resolution", "lowest-direct"], "newest": ["--upgrade"], "locked": []}
_CLOSING = re.compile(r"(?m)^=* ?((?:\d+ [a-z]+, )*\d+ (?:passed|failed|error)[^=\n]*?) ?=*$")


def main(arguments: list[str]) -> int:
    """Test one stack, and write the table; return pytest's exit status, or 3 without a Python."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("stack", choices=list(RESOLUTIONS))
    parser.add_argument("--python", default="3.11", help="for example 3.12")
    parser.add_argument("--spark", default="", help="series of pyspark, for example 3.5")
    parser.add_argument(
        "--reason", default="", help="why it is not run, for the table; runs nothing"
    )
    parser.add_argument("tests", nargs="*", help="of pytest; what upgrades break by default")
    options = parser.parse_args(arguments)
    cell = {"stack": options.stack, "python": options.python, "spark": options.spark}
    if options.reason:
        record(cell | {"closing": f"not run: {options.reason}", "versions": {}})
        return 0
    uv = find_uv()
    if uv is None:
        print("test-stack: no uv; run `make setup` first", file=sys.stderr)
        return 2
    interpreter = find_python(uv, options.python)
    if interpreter is None:
        reason = f"not run: no Python {options.python} on this machine"
        record(cell | {"closing": reason, "versions": {}})
        print(f"test-stack: {reason}", file=sys.stderr)
        return 3
    environment = STACKS / "-".join(word for word in cell.values() if word)
    if options.tests:
        cell["tests"] = " ".join(options.tests)
    problem = make_environment(uv, interpreter, environment, options.stack, options.spark)
    if problem:
        record(cell | {"closing": f"not installed: {problem}", "versions": {}})
        return 1
    command = [environment / "bin" / "python", "-m", "pytest", *SPREAD, *(options.tests or TESTS)]
    closing, status = run_tests(command, environment)
    record(cell | {"closing": closing, "versions": read_versions(uv, environment)})
    return status


def find_uv() -> str | None:
    """Return the uv that `make setup` uses."""
    home = Path(os.environ.get("HOME", "/"))
    places = [shutil.which("uv"), home / ".local/bin/uv", ROOT / ".tools/uv/bin/uv"]
    return next((str(p) for p in places if p and Path(p).is_file()), None)


def find_python(uv: str, version: str) -> str | None:
    """Return the interpreter of a version, one that uv finds, or pyenv's newest."""
    done = subprocess.run(
        [uv, "python", "find", version], capture_output=True, text=True, check=False, cwd="/"
    )
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    others = sorted(pyenv.glob(f"{version}.*/bin/python"), key=lambda path: path.stat().st_mtime)
    return done.stdout.strip() or next((str(path) for path in reversed(others)), None)


def make_environment(
    uv: str, interpreter: str, environment: Path, stack: str, spark: str
) -> str | None:
    """Make an environment of the stack's versions, or return what stands in the way.

    It is resolved in a copy of the project, always the same one: uv compiles Horovod again where
    the project's path changes.
    """
    copy = STACKS / "project"
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir(parents=True)
    for name in ("pipelines", "jobs", "scripts", "README.md", "LICENSE", "NOTICE"):
        (copy / name).symlink_to(ROOT / name)
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (copy / "pyproject.toml").write_text(constrain(text, spark), encoding="utf-8")
    if stack == "locked":
        shutil.copy(ROOT / "uv.lock", copy)
    variables = os.environ | {"UV_PROJECT_ENVIRONMENT": str(environment)}
    variables.pop("VIRTUAL_ENV", None)
    for step in (["lock", *RESOLUTIONS[stack]], ["sync", "--frozen"]):
        command = [uv, *step, "--python", interpreter]
        done = subprocess.run(
            command, cwd=copy, env=variables, check=False, stderr=subprocess.PIPE, text=True
        )
        if done.returncode:
            print(done.stderr, file=sys.stderr)
            lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
            return next((line for line in lines if "Because" in line), lines[-1])[:300]
    return None


def constrain(text: str, spark: str) -> str:
    """Return the text of pyproject.toml with pyspark held to a series, if one is named."""
    if not spark:
        return text
    return text.replace(
        "[tool.uv]\n", f'[tool.uv]\nconstraint-dependencies = ["pyspark=={spark}.*"]\n'
    )


def run_tests(command: list[Any], environment: Path) -> tuple[str, int]:
    """Run pytest in the project, show its output, and return its closing line and exit status."""
    path = f"{environment / 'bin'}{os.pathsep}{os.environ['PATH']}"
    process = subprocess.Popen(
        command, cwd=ROOT, env=os.environ | {"PATH": path}, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    output = []
    for line in process.stdout:
        sys.stdout.write(line)
        sys.stdout.flush()
        output.append(line)
    status = process.wait()
    return find_closing_line("".join(output), status), status


def find_closing_line(output: str, status: int) -> str:
    """Return pytest's closing line, such as «12 passed in 3.00s», and the names of what failed."""
    lines = _CLOSING.findall(output)
    if not lines:
        return f"no closing line, exit status {status}"
    failed = re.findall(r"(?m)^(?:FAILED|ERROR) (\S+)", output)
    return str(lines[-1]) + (f": {', '.join(failed[:5])}" if failed else "")


def read_versions(uv: str, environment: Path) -> dict[str, str]:
    """Return the versions of the packages that the table shows."""
    command = [uv, "pip", "list", "--format", "json", "--python", environment / "bin" / "python"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    installed = {item["name"]: item["version"] for item in json.loads(done.stdout)}
    return {name: installed[name] for name in SHOWN if name in installed}


def record(cell: dict[str, Any]) -> None:
    """Add a result to docs/stacks.json in the place of an earlier one, and write the table."""
    cell["date"] = datetime.now(UTC).date().isoformat()
    cells = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else []
    same = ("stack", "python", "spark")
    cells = [other for other in cells if any(other[key] != cell[key] for key in same)]
    order = list(RESOLUTIONS)
    cells.append(cell)
    cells.sort(key=lambda c: (order.index(c["stack"]), c["python"], c["spark"]))
    RESULTS.write_text(json.dumps(cells, indent=1) + "\n", encoding="utf-8")
    TABLE.write_text(format_table(cells), encoding="utf-8")


def format_table(cells: list[dict[str, Any]]) -> str:
    """Return docs/stacks.md: a row per stack that was tried."""
    head = ["stack", "Python", *SHOWN, "date", "tests"]
    rows = [
        [
            cell["stack"] + (f", Spark {cell['spark']}" if cell["spark"] else ""),
            cell["python"],
            *(cell["versions"].get(name, "") for name in SHOWN),
            cell["date"],
            cell["closing"] + (f" (of {cell['tests']})" if "tests" in cell else ""),
        ]
        for cell in cells
    ]
    lines = ["| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows]]
    return (
        "# Stacks that were tried\n\n"
        "`make test-stack STACK=oldest|locked|newest [PYTHON=3.12] [SPARK=3.5]` makes an\n"
        "environment of its own, runs in it the tests of stream, train, tracking and transform\n"
        "and a whole road, and writes its row here. Oldest are the lowest versions that\n"
        "pyproject.toml allows, newest the highest that it allowed on that date.\n\n"
        + "\n".join(lines) + "\n"
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
