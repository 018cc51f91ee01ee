"""Read which files the sink of a Spark streaming query has: those that its log says were
committed."""

import json
from typing import Any
from urllib.parse import unquote

from headrace.errors import LakeError
from headrace.lake.logged_files import LoggedFile, TableLog, strip_root, strip_scheme
from headrace.lake.snapshot import Snapshot
from headrace.lake.storage import explain_table_errors
from headrace.lake.walk import find_info, list_folder, make_walked_file
from headrace.redaction import redact_text

_COMPACT_SUFFIX = ".compact"


def read_sink_log(filesystem: Any, root: str, base: str) -> TableLog:
    """Read which files a sink's log names: one file a batch, and every tenth has those before it.

    Args:
        filesystem, base: of the sink's folder.
        root: the folder as a path or URL.

    Raises:
        LakeError: the log cannot be read, or a file that it names is gone.
    """
    with explain_table_errors(root):
        paths = list_folder(filesystem, f"{base}/_spark_metadata")
        batches = {
            int(name.removesuffix(_COMPACT_SUFFIX)): path
            for path in sorted(paths)
            if (name := path.rpartition("/")[2]).removesuffix(_COMPACT_SUFFIX).isdigit()
        }
        compacted = [b for b, path in batches.items() if path.endswith(_COMPACT_SUFFIX)]
        first = max(compacted, default=0)
        chosen = sorted(batch for batch in batches if batch >= first)
        if chosen != list(range(first, first + len(chosen))):
            raise LakeError(f"{redact_text(root)}/_spark_metadata lacks batches between others")
        entries: dict[str, None] = {}
        for batch in chosen:
            for entry in _read_batch(filesystem, batches[batch]):
                if entry["action"] == "delete":
                    entries.pop(entry["path"], None)
                else:
                    entries[entry["path"]] = None
        files = []
        for url in entries:
            path = strip_scheme(unquote(url), filesystem)
            info = find_info(filesystem, path)
            if info is None:
                raise LakeError(
                    f"{url} is not there, and the log of the streaming sink {redact_text(root)} "
                    "names it; restore it, or have the query write its sink anew"
                )
            files.append(LoggedFile(make_walked_file(path, info), strip_root(path, base)))
    snapshot = Snapshot(table_id="", version=max(batches, default=-1))
    return TableLog("sink", tuple(files), snapshot)


def _read_batch(filesystem: Any, path: str) -> list[dict[str, Any]]:
    with filesystem.open(path, "rb") as stream:
        version, *lines = stream.read().decode().splitlines()
    if version != "v1":
        raise LakeError(f"{path} is of version {version[:20]!r}, and v1 is known; read it by Spark")
    return [json.loads(line) for line in lines if line]
