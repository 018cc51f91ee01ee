"""Look at the Python that a server's tasks run in, before rows do: its version and its packages."""

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from headrace.errors import MachineError, get_text

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import SparkSession

_REPORT_DDL = "report string"
# What values depend on; others may differ as long as they are there.
_PACKAGES = ("numpy", "pyarrow", "pyfarmhash")
# With what they import, these need all packages that tasks of the stages need.
_MODULES = ("headrace.transform.arrow", "headrace.lake.storage", "headrace.source.late_reader")


def check_workers(session: "SparkSession", archive: str, address: str) -> list[str]:
    """Check that tasks run this package's code on a Python that has what it needs.

    Args:
        session: of Spark Connect, which has the archive.
        archive: name of the archive's file.
        address: of the server, for messages.

    Returns:
        what people should know, a sentence each: packages of other versions than here.

    Raises:
        MachineError: it is another release of Python, lacks a package, or imports another Headrace.
    """
    where = f"the tasks of the Spark Connect server {address}"
    try:
        rows = session.range(0, 1, 1, 1).mapInArrow(_build_report(_MODULES), _REPORT_DDL).collect()
    except Exception as error:  # of Spark, with the worker's in its text
        raise MachineError(f"{where} {_explain_failure(get_text(error))}") from error
    report = json.loads(rows[0]["report"])
    if archive not in report["package"]:
        raise MachineError(
            f"{where} import headrace from {report['package']}, and not from {archive}, which has "
            "the code that runs here; remove it from the workers' PYTHONPATH and working directory"
        )
    here = _list_versions()
    return [
        f"{where} have {name} {there}, and here it is {here[name]}"
        for name, there in report["versions"].items()
        if there != here[name]
    ]


def _build_report(
    modules: tuple[str, ...],
) -> "Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]":
    """Return the function for `mapInArrow` that imports modules and reports what they are."""

    def report_packages(batches: "Iterable[pa.RecordBatch]") -> "Iterator[pa.RecordBatch]":
        import importlib

        import pyarrow as pa

        for _ in batches:
            pass
        for module in modules:
            importlib.import_module(module)
        import headrace
        from headrace.spark_engine.remote_workers import _list_versions

        report = {"package": headrace.__file__, "versions": _list_versions()}
        yield pa.RecordBatch.from_pydict({"report": [json.dumps(report)]})

    return report_packages


def _list_versions() -> dict[str, str]:
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return versions


def _explain_failure(text: str) -> str:
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    if "PYTHON_VERSION_MISMATCH" in text:
        named = re.search(r"Python in worker has different version:? \(?([\d., ]+?)\)?[,: ]", text)
        there = f" ({named[1].strip()})" if named else ""
        return (
            f"run another Python{there} than this one, {here}, and Spark sends functions between "
            f"equal ones only; start the server with PYSPARK_PYTHON of Python {here}, or run "
            "Headrace with the server's"
        )
    missing = re.findall(r"No module named '([^']+)'", text)
    if missing:
        return (
            f"have no Python package {missing[-1]!r}; install Headrace's requirements where the "
            "server's PYSPARK_PYTHON is (docs/spark-connect.md)"
        )
    lines: list[Any] = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"[\w.]*(Error|Exception)\b", line)]
    return f"cannot run Headrace: {(errors or lines or ['no reason given'])[-1 if errors else 0]}"
