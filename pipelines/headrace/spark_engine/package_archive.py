"""Pack this package into an archive that Python imports from, for workers that lack it.

Its name has the digest of its modules: workers that import from the archive of that name run the
code that runs here, whatever version of it they have installed.
"""

import hashlib
import importlib.util
import zipfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from shutil import copyfile

PACKAGE = "headrace"
_FOLDER = Path(__file__).parents[1]


def write_archive(folder: str) -> str:
    """Write the archive of the package that runs, and return its path.

    Args:
        folder: local, for the archive.
    """
    packed = _find_archive()
    if packed is not None:
        digest = hashlib.sha256(packed.read_bytes()).hexdigest()
    else:
        files = _list_files()
        digest = _digest_files(files)
    target = Path(folder) / f"{PACKAGE}-{digest[:16]}.zip"
    if target.exists():
        return str(target)
    partial = target.with_suffix(".part")
    if packed is not None:
        copyfile(packed, partial)
    else:
        _pack(files, partial)
    partial.replace(target)
    return str(target)


def _find_archive() -> Path | None:
    """Find the archive that this package itself is imported from, as with `--py-files`."""
    parents = [parent for parent in _FOLDER.parents if parent.is_file()]
    return parents[0] if parents else None


def _list_files() -> list[Path]:
    return [
        path
        for path in sorted(_FOLDER.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    ]


def _digest_files(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        content = path.read_bytes()
        digest.update(f"{path.relative_to(_FOLDER)}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def _pack(files: list[Path], target: Path) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as archive:
        for path in files:
            name = Path(PACKAGE) / path.relative_to(_FOLDER)
            archive.write(path, name)
            if path.suffix == ".py":
                # Python takes it where it finds it was made of this very file, and compiles 300
                # modules in every new worker where it finds none.
                compiled = Path(importlib.util.cache_from_source(str(path)))
                if compiled.exists():
                    archive.write(compiled, name.with_suffix(".pyc"))
        try:
            metadata = distribution(PACKAGE)
        except PackageNotFoundError:  # it runs from a checkout that is not installed
            return
        text = metadata.read_text("METADATA")
        if text:
            archive.writestr(f"{PACKAGE}-{metadata.version}.dist-info/METADATA", text)
