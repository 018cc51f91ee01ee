"""Take a person's rows out of what runs and models keep in MLflow, and name those models."""

import io
import json
import tempfile
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.columns.person_key import PersonKey, find_person_rows
from headrace.pages.raw_rows import list_raw_columns, remove_rows
from headrace.tracking.descriptions import change_run_description, change_version_description
from headrace.tracking.lineage import find_runs
from headrace.tracking.model import find_logged_model
from headrace.tracking.store import Store, open_client

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import FileInfo

_TABLES, _TEXTS = (".parquet",), (".json", ".html", ".md", ".csv", ".txt", ".yaml", ".yml")
_LARGEST = 256 * 2**20  # bytes of an artifact that is looked at


@dataclass
class ErasedArtifacts:
    """What was changed in MLflow.

    Attributes:
        models: model versions that were trained on versions that had the rows, or may have had.
        rows: artifact -> rows that were taken out.
        texts: artifacts in which a value was replaced.
        unclear: artifacts with raw rows that have no column of the key, so that it cannot be told
            whose they are.
        unread: artifacts that are too large to be looked at.
    """

    models: list[str] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)
    unclear: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Place:
    """Artifacts of a run or of a model.

    Attributes:
        name: for people.
        run_id, model_id: whose they are; one of them.
    """

    name: str
    run_id: str | None = None
    model_id: str | None = None

    def list_files(self, client: "MlflowClient") -> "Iterator[FileInfo]":
        """List all files, those of folders included."""
        waiting: list[str | None] = [None]
        while waiting:
            for info in self._list_folder(client, waiting.pop()):
                if info.is_dir:
                    waiting.append(info.path)
                else:
                    yield info

    def _list_folder(self, client: "MlflowClient", path: str | None) -> "list[FileInfo]":
        if self.run_id:
            return list(client.list_artifacts(self.run_id, path))
        assert self.model_id
        return list(client.list_logged_model_artifacts(self.model_id, path))

    def read(self, client: "MlflowClient", path: str, folder: str) -> bytes:
        """Download a file."""
        import mlflow

        root = (
            f"runs:/{self.run_id}"
            if self.run_id
            else client.get_logged_model(str(self.model_id)).artifact_location
        )
        local = mlflow.artifacts.download_artifacts(f"{root}/{path}", dst_path=folder)
        return Path(local).read_bytes()

    def write(self, client: "MlflowClient", path: str, content: bytes) -> None:
        """Replace a file."""
        with tempfile.TemporaryDirectory() as folder:
            local = Path(folder) / PurePosixPath(path).name
            local.write_bytes(content)
            parent = str(PurePosixPath(path).parent)
            below = None if parent == "." else parent
            if self.run_id:
                client.log_artifact(self.run_id, str(local), below)
            else:
                assert self.model_id
                client.log_model_artifacts(self.model_id, folder, below)


def erase_from_store(store: Store, key: PersonKey, builds: Collection[str]) -> ErasedArtifacts:
    """Take a person's rows out of the artifacts of all runs that name one of some builds.

    Args:
        store: that the runs are in.
        key: of the person.
        builds: of the dataset, all that there ever were.

    Raises:
        MlflowException: the store does not answer.
    """
    client = open_client(store)
    done = ErasedArtifacts()
    for build_id in sorted(builds):
        for run in find_runs(store, build_id):
            places = [_Place(f"run {run.run_id}", run_id=run.run_id)]
            # The gates in a description may name a slice, and that the person.
            if change_run_description(client, run.run_id, key.remove_from_text):
                done.texts.append(f"run {run.run_id}: description")
            for version in client.search_model_versions(f"run_id = '{run.run_id}'"):
                uri = f"models:/{version.name}/{version.version}"
                done.models.append(uri)
                if change_version_description(client, version, key.remove_from_text):
                    done.texts.append(f"{uri}: description")
                if model_id := find_logged_model(version):
                    places.append(_Place(uri, model_id=model_id))
            for place in places:
                _erase_from_place(client, place, key, done)
    done.models = sorted({*done.models})
    return done


def _erase_from_place(
    client: "MlflowClient", place: _Place, key: PersonKey, done: ErasedArtifacts
) -> None:
    with tempfile.TemporaryDirectory(prefix="headrace-erase-") as folder:
        for info in place.list_files(client):
            suffix = PurePosixPath(info.path).suffix
            name = f"{place.name}: {info.path}"
            if suffix not in (*_TABLES, *_TEXTS):
                continue
            if (info.file_size or 0) > _LARGEST:
                done.unread.append(name)
                continue
            content = place.read(client, info.path, folder)
            if suffix in _TABLES:
                cleaned, rows = _erase_rows(content, key)
                if cleaned is None:
                    done.unclear.append(name)
            else:
                cleaned, rows = _erase_text(content, key)
                if suffix == ".html" and cleaned is not None and _hides_rows(cleaned, key):
                    done.unclear.append(name)
            if cleaned is not None and cleaned != content:
                place.write(client, info.path, cleaned)
                if rows:
                    done.rows[name] = rows
                else:
                    done.texts.append(name)


def _erase_rows(content: bytes, key: PersonKey) -> tuple[bytes | None, int]:
    """Return a Parquet file without the person's rows, and how many there were; None where it has
    no column of the key, and no text of it."""
    table = pq.read_table(io.BytesIO(content))
    found = find_person_rows(table, key)
    if found.any():
        sink = io.BytesIO()
        pq.write_table(table.filter(pa.array(~found)), sink)
        return sink.getvalue(), int(found.sum())
    return (None if key.find_columns(table.column_names) is None else content), 0


def _erase_text(content: bytes, key: PersonKey) -> tuple[bytes, int]:
    """Return a text without the person's rows and values, and how many rows there were."""
    text = content.decode(errors="surrogateescape")
    text, rows = _erase_page_rows(text, key)
    try:
        tree = json.loads(text)
    except ValueError:
        tree = None
    split = tree.get("dataframe_split", tree) if isinstance(tree, dict) else None
    if isinstance(split, dict) and {"columns", "data"} <= split.keys():
        rows += _erase_split(split, key)
        text = json.dumps(tree) if rows else text
    if key.is_in_text(text):
        text = key.remove_from_text(text)
    return text.encode(errors="surrogateescape"), rows


def _erase_page_rows(page: str, key: PersonKey) -> tuple[str, int]:
    """Take the person's rows out of the tables of a report, and return how many there were."""

    def is_of_person(columns: Sequence[str], cells: Sequence[str]) -> bool:
        wanted = key.find_columns(name for name in columns if name)
        if wanted is None:
            return any(text in cell for text in key.searched_texts for cell in cells)
        return all(cells[columns.index(name)] == text for name, text in wanted.items())

    return remove_rows(page, is_of_person)


def _hides_rows(content: bytes, key: PersonKey) -> bool:
    """Return whether a page has raw rows of which it cannot be told whose they are."""
    page = content.decode(errors="surrogateescape")
    return any(key.find_columns(filter(None, names)) is None for names in list_raw_columns(page))


def _erase_split(split: dict[str, Any], key: PersonKey) -> int:
    """Take the person's rows out of a frame as pandas writes it, and return how many there were."""
    columns = key.find_columns(map(str, split["columns"]))
    if columns is None:
        return 0
    places = {split["columns"].index(name): text for name, text in columns.items()}
    kept = [
        position
        for position, row in enumerate(split["data"])
        if not all(str(row[place]) == text for place, text in places.items())
    ]
    gone = len(split["data"]) - len(kept)
    split["data"] = [split["data"][position] for position in kept]
    if "index" in split:
        split["index"] = [split["index"][position] for position in kept]
    return gone
