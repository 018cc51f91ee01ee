"""One folder, whole or absent: an example lake is written aside and renamed when it is complete.

`_lake.json` in the folder says what was written. A second run finds it and does nothing; a folder
with anything else in it is never touched.
"""

import json
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from headrace.errors import LakeError

MANIFEST = "_lake.json"


def write_once(
    out: str, asked: dict[str, Any], write: Callable[[Path], dict[str, Any]]
) -> tuple[dict[str, Any], bool]:
    """Have `write` fill a folder and move it to `out`.

    Args:
        out: the lake's folder; may exist if it is empty or holds the same lake.
        asked: what was asked for (kind, rows, seed); kept in the manifest and compared.
        write: fills the folder it is given and returns what it wrote (rows a table and so on).

    Returns:
        the manifest, and whether it was written now (`False`: it was there already).

    Raises:
        LakeError: `out` holds something else.
    """
    target = Path(out).absolute()
    manifest = target / MANIFEST
    if manifest.exists():
        found: dict[str, Any] = json.loads(manifest.read_text(encoding="utf-8"))
        if found["asked"] == asked:
            return found, False
        raise LakeError(
            f"{out} holds another lake: {found['asked']}, asked for {asked}; "
            "choose another --out or remove the folder"
        )
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise LakeError(f"{out} exists and is not empty; choose another --out or remove it")
    aside = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
    aside.mkdir(parents=True)
    try:
        made = {"asked": asked, "made": write(aside)}
        text = json.dumps(made, indent=2) + "\n"
        (aside / MANIFEST).write_text(text, encoding="utf-8")
        if target.exists():
            target.rmdir()
        aside.rename(target)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    return made, True
