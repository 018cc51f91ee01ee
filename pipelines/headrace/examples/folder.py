"""Write an example lake once, whole or not at all: it is renamed into place when complete.

`_lake.json` in the folder says what was written. A second run reads it and does nothing; a folder
with other contents is never changed.
"""

import json
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from headrace.errors import LakeError

MANIFEST = "_lake.json"


def ensure_lake(
    out: str, request: dict[str, Any], write_tables: Callable[[Path], dict[str, Any]]
) -> tuple[dict[str, Any], bool]:
    """Write a lake into a temporary folder and move it to `out`, unless it exists already.

    Args:
        out: the lake's folder; may exist if it is empty or has the same lake.
        request: what is to be written (kind, rows, seed); stored in the manifest and compared.
        write_tables: fills the folder it is given and returns what it wrote (rows of each table and
            so on).

    Returns:
        the manifest, and whether it was written now (`False`: it existed already).

    Raises:
        LakeError: `out` has other contents.
    """
    target = Path(out).absolute()
    manifest_path = target / MANIFEST
    if manifest_path.exists():
        written: dict[str, Any] = json.loads(manifest_path.read_text(encoding="utf-8"))
        if written["asked"] == request:
            return written, False
        raise LakeError(
            f"{out} holds another lake: {written['asked']}, expected {request}; "
            "choose another --out or remove the folder"
        )
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise LakeError(f"{out} exists and is not empty; choose another --out or remove it")
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
    temporary.mkdir(parents=True)
    try:
        manifest = {"asked": request, "made": write_tables(temporary)}
        text = json.dumps(manifest, indent=2) + "\n"
        (temporary / MANIFEST).write_text(text, encoding="utf-8")
        if target.exists():
            target.rmdir()
        temporary.rename(target)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return manifest, True
