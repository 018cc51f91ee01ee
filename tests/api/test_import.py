"""`import headrace` is cheap, whatever it offers."""

import subprocess
import sys

import pytest

import headrace

CODE = """
import sys
before = set(sys.modules)
import headrace
heavy = {name.partition(".")[0] for name in set(sys.modules) - before}
assert not heavy & {"pandas", "pyarrow", "pydantic", "typer", "mlflow", "tensorflow"}, heavy
assert "headrace.api" not in sys.modules
assert {"open", "run", "Dataset"} <= set(dir(headrace))
assert callable(headrace.open) and "tensorflow" not in sys.modules and "mlflow" not in sys.modules
print(open.__module__)
"""


def test_importing_the_package_imports_no_engine() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() in ("io", "_io")  # the caller's own `open` is Python's


def test_every_promised_name_is_there_and_no_other() -> None:
    for name in headrace.__all__:
        assert getattr(headrace, name) is not None
    with pytest.raises(AttributeError, match=r"module 'headrace' has no attribute 'opne'"):
        headrace.opne  # noqa: B018
