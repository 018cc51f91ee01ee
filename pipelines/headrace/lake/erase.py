"""Take a person's rows out of the files beside a dataset's or predictions' rows, and look whether
any is left.

Rows of the newest version are left to those who wrote them (`prepare/erase.py`,
`lake/erase_predictions.py`); old versions are removed by `vacuum.py`.
"""

import io
import json
import re
import tempfile
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from headrace.columns.person_key import PersonKey, find_person_rows
from headrace.features.text_file import NAME_PATTERN, read_texts, split_texts
from headrace.lake.column_totals import TOTALS_FILE
from headrace.lake.damage import read_parquet
from headrace.lake.log_cleanup import clean_log, plan_log_cleanup
from headrace.lake.sidecar import EXAMPLES_FILE, ROW_SAMPLE_FILE, SIDECAR_ROOT
from headrace.lake.sidecar_sums import rewrite_file
from headrace.lake.storage import explain_storage_errors, is_local, open_filesystem
from headrace.lake.walk import find_files

# Texts with examples of values. In others a value is a name, of a folder for example, that the next
# build compares: it is found and named.
_REPORTS = (
    ["profile.json"], ["version_profile.json"], ["statistics.json"], ["report.html"],
)  # fmt: skip
_LOG = "_delta_log"


@dataclass
class Erased:
    """What was changed below a root.

    Attributes:
        rows: file, relative to the root -> rows that were taken out of it.
        texts: files in which a value was replaced.
        removed: files that were removed as a whole, because it cannot be told whose rows they have.
    """

    rows: dict[str, int] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)


def erase_from_sidecars(
    root: str,
    key: PersonKey,
    held: Mapping[str, Collection[str]],
    newest: str,
    hashed: Mapping[str, Collection[str]] | None = None,
    paths: Collection[str] = (),
) -> Erased:
    """Take a person's rows out of what builds left beside a dataset.

    Args:
        root: the dataset's folder or URL.
        key: of the person.
        held: build -> source partitions whose rows it has in the newest version; what it kept of
            others goes.
        newest: the build of the newest version.
        hashed: build -> source partitions the hashes of whose keys lie in its sidecar; `held` if
            left out.
        paths: that the newest version's rows were written under; limits of others are values of
            rows that are gone.
    """
    done = Erased()
    own = newest if held.get(newest) else None  # else its examples are those of a build before
    filesystem, base = open_filesystem(root)
    with explain_storage_errors(root):
        for path in find_files(filesystem, f"{base}/{SIDECAR_ROOT}"):
            name = path[len(base) + 1 :]
            _, build_id, *rest = name.split("/")
            if rest == [EXAMPLES_FILE] and not _is_told_by(filesystem, path, key, build_id, own):
                rewrite_file(filesystem, path, None)
                done.removed.append(name)
            elif rest == [ROW_SAMPLE_FILE]:
                # The newest version's was made without the rows; of others' it cannot be told whose
                # rows they have.
                if build_id != newest:
                    rewrite_file(filesystem, path, None)
                    done.removed.append(name)
            elif rest == [TOTALS_FILE]:
                _keep_paths(filesystem, path, name, paths, done)
            elif rest[0] in ("duplicates", "join_keys", "key_hashes"):
                kept = held if hashed is None or rest[0] != "key_hashes" else hashed
                _keep_partitions(filesystem, path, name, kept.get(build_id, ()), done)
            elif path.endswith(".parquet"):
                _erase_rows(filesystem, path, name, key, done)
            elif rest in _REPORTS:
                _erase_text(filesystem, path, name, key, done)
    return done


def _is_told_by(filesystem: Any, path: str, key: PersonKey, build_id: str, own: str | None) -> bool:
    """Return whether it can be told of examples whose rows they are: by the key's columns, or
    because their build read no row of the person."""
    names = _read_table(filesystem, path).column_names
    return build_id == own or key.find_columns(names) is not None


def _keep_partitions(
    filesystem: Any, path: str, name: str, held: Collection[str], done: Erased
) -> None:
    """Keep the keys of partitions that the build still has."""
    table = _read_table(filesystem, path)
    column = "loser" if "loser" in table.column_names else "partition"
    is_held = pc.is_in(
        table[column].cast(pa.string()), value_set=pa.array(sorted(held), pa.string())
    )
    gone = table.num_rows - pc.sum(is_held).as_py() if table.num_rows else 0
    if gone:
        _write_table(filesystem, path, table.filter(is_held))
        done.rows[name] = gone


def _keep_paths(
    filesystem: Any, path: str, name: str, paths: Collection[str], done: Erased
) -> None:
    """Keep the totals of files whose rows the newest version has."""
    table = _read_table(filesystem, path)
    is_held = pc.is_in(table["totals_path"], value_set=pa.array(sorted(paths), pa.string()))
    gone = table.num_rows - (pc.sum(is_held).as_py() or 0)
    if gone:
        _write_table(filesystem, path, table.filter(is_held))
        done.rows[name] = gone


def _erase_rows(filesystem: Any, path: str, name: str, key: PersonKey, done: Erased) -> None:
    table = _read_table(filesystem, path)
    found = find_person_rows(table, key)
    if found.any():
        _write_table(filesystem, path, table.filter(pa.array(~found)))
        done.rows[name] = int(found.sum())


def _erase_text(filesystem: Any, path: str, name: str, key: PersonKey, done: Erased) -> None:
    text = filesystem.cat_file(path).decode(errors="surrogateescape")
    if key.is_in_text(text):
        rewrite_file(filesystem, path, key.remove_from_text(text).encode(errors="surrogateescape"))
        done.texts.append(name)


def strip_log_statistics(root: str, current: Collection[str]) -> list[str]:
    """Take the statistics of files that are not current out of a Delta log: their bounds are
    values of rows.

    Checkpoints, which repeat them, go where the log has every commit; where it has not, it begins
    with a new one.

    Args:
        root: the table's folder or URL.
        current: paths of the newest version's files.

    Returns:
        names of the log's files that were changed or removed.
    """
    filesystem, base = open_filesystem(root)
    changed = []
    with explain_storage_errors(root):
        paths = sorted(map(str, filesystem.ls(f"{base}/{_LOG}", detail=False)))
        commits = [path for path in paths if path.endswith(".json")]
        for path in commits:
            lines = filesystem.cat_file(path).decode().splitlines()
            stripped = [_strip_action(line, current) for line in lines]
            if stripped != lines:
                filesystem.pipe_file(path, "\n".join(stripped).encode())
                changed.append(path[len(base) + 1 :])
        numbers = {int(path.rpartition("/")[2].removesuffix(".json")) for path in commits}
        if numbers == {*range(max(numbers) + 1)}:
            for path in paths:
                name = path.rpartition("/")[2]
                if ".checkpoint" in name or name == "_last_checkpoint":
                    filesystem.rm_file(path)
                    changed.append(path[len(base) + 1 :])
        else:
            plan = plan_log_cleanup(root, max(numbers), now=True)
            clean_log(root, plan)
            changed = sorted({*changed, *plan.files})
    return changed


def _strip_action(line: str, current: Collection[str]) -> str:
    action = json.loads(line)
    for kind in ("add", "remove"):
        file = action.get(kind)
        if file and file["path"] not in current and "minValues" in (file.get("stats") or ""):
            rows = json.loads(file["stats"]).get("numRecords")
            file["stats"] = json.dumps({"numRecords": rows})
            return json.dumps(action)
    return line


def find_person(root: str, key: PersonKey) -> list[str]:
    """Find the files below a root in which the person still is.

    Rows are looked for by the key's columns, wherever a file has them; texts of at least four
    characters that are no numbers also inside all other texts, the log's included.

    Args:
        root: of a dataset or of predictions.
        key: of the person.

    Returns:
        paths relative to the root.
    """
    filesystem, base = open_filesystem(root)
    with explain_storage_errors(root):
        names = {path: path[len(base) + 1 :] for path in find_files(filesystem, base)}
        return [
            name
            for path, name in names.items()
            if key.is_in_text(name) or _has_person(filesystem, path, key)
        ]


def _has_person(filesystem: Any, path: str, key: PersonKey) -> bool:
    if re.fullmatch(NAME_PATTERN, path.rpartition("/")[2]):
        with suppress(pa.ArrowInvalid):  # a file that is damaged is searched as it is
            return _is_in_texts(filesystem, path, key)
    content = filesystem.cat_file(path)
    if path.endswith(".parquet"):
        try:
            table = pq.read_table(io.BytesIO(content), partitioning=None)
        except (pa.ArrowInvalid, OSError):  # a file that is no table is searched as it is
            pass
        else:
            if find_person_rows(table, key).any():
                return True
    return key.is_in_text(content.decode(errors="replace"))


def _is_in_texts(filesystem: Any, path: str, key: PersonKey) -> bool:
    """Return whether the file of a vocabulary, which may be large, has one of a key's texts."""
    with tempfile.TemporaryDirectory(prefix="headrace-texts-") as folder:
        local = path
        if not is_local(filesystem):
            local = f"{folder}/texts"
            filesystem.get_file(path, local)
        return any(key.is_in_array(chunk) for chunk in split_texts(read_texts(local)))


def _read_table(filesystem: Any, path: str) -> pa.Table:
    return read_parquet(bytes(filesystem.cat_file(path)), path)


def _write_table(filesystem: Any, path: str, table: pa.Table) -> None:
    sink = io.BytesIO()
    pq.write_table(table, sink, write_page_checksum=True)
    rewrite_file(filesystem, path, sink.getvalue())
