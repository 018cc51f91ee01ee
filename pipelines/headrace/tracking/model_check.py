"""Check the folder of a registered model before any of it runs.

An MLflow model names the module that loads it, brings code of its own and may bring pickles: who
can write to a registry's store runs code where its models are loaded. What `register_version`
writes is known, so nothing else is loaded here.
"""

import hashlib
import shutil
from pathlib import Path
from typing import Any

import yaml

from headrace.errors import ModelError
from headrace.tracking.model import CODE_FILE, FILE_NAMES

RELEASED_CODE = frozenset(
    {
        "b1583c19921ffeba7788a5e2002da2d98763ad82732d967beed87dcec91a121a",
        "c3ae60387474e1a6952ea74d2c57083ac074672d413a0c48f664ba28bb59112c",
        "0c90cbca44636bef721c62579417d3eb9e1707724ac6fd383b14ab3c3a8d8a15",
        "85e1d065bcf87dd842036523fda9cdc8e716f1b9f4c68a5a79aad0d14e07f948",
        "4357aa636c3b05c0e3a714f07c41794df7560de633a6d4aa2b44cd3cb7680d46",
        "508e86d1630bb2436f0e193b8307dcbc4a1d02d34f633a7586a16f546bd0c55a",
        "2d973edfd1b398a4d69129caf961264999310d8f20375569679fd01f56c984e3",
        "c9f2993e0db856146de55cdef533182bea4a0c6b81a7ac0d40a4b06db10d3453",
        "2eac920cfcbd8e9bcc654086ecdd4aa6517d581d5af42370f1f72330db8d17f3",
        "75574c482297bec2f5580d6f6cde18b60922d04c1e0b353016b6c70e1f950f1e",
    }
)
"""SHA-256 of every `raw_model.py` that a release wrote into its models; each release adds to it."""

_LOADER = "mlflow.pyfunc.loaders.code_model"
_ENTRIES = frozenset(
    {
        "artifacts", "cloudpickle_version", "code", "env", "loader_module", "model_code_path",
        "python_version", "streamable",
    }
)  # fmt: skip
# Suffixes of the data that MLflow and TensorFlow write beside the code.
_DATA = frozenset(
    {"", ".arrow", ".json", ".yaml", ".txt", ".toml", ".lock", ".parquet", ".pb", ".keras"}
    | {".index"}
)


def remove_bytecode(folder: str) -> None:
    """Remove what Python compiled of a model's code, from a local copy of its folder.

    Byte-code runs in place of the file beside it, if it claims that file's size and time. Models
    that were registered before 2026-12 have some, and so has every model that was served from
    where it lies.
    """
    bytecode = Path(folder) / "__pycache__"
    if bytecode.is_dir() and not bytecode.is_symlink():
        shutil.rmtree(bytecode)


def check_model_folder(folder: str, name: str) -> None:
    """Check that a model's folder is one that Headrace wrote, and has nothing else that can run.

    Args:
        folder: a local copy, from which the model is loaded afterwards.
        name: of the model, in messages.

    Raises:
        ModelError: with what it has, in one line.
    """
    flavor = _read_flavor(Path(folder) / "MLmodel", name)
    unknown = sorted(set(flavor) - _ENTRIES)
    if unknown:
        raise ModelError(f"{_refuse(name)}: its MLmodel has {', '.join(unknown)}")
    if flavor.get("loader_module") != _LOADER or flavor.get("code"):
        loader = flavor.get("loader_module"), flavor.get("code")
        raise ModelError(f"{_refuse(name)}: it is loaded by {loader[0]!r} with code {loader[1]!r}")
    # Where the package was a zip, the code came from a temporary file, `tmp…raw_model.py`.
    code_file = Path(str(flavor.get("model_code_path"))).name
    if not code_file.endswith(CODE_FILE) or not (Path(folder) / code_file).is_file():
        raise ModelError(f"{_refuse(name)}: its code is {flavor.get('model_code_path')!r}")
    artifacts = flavor.get("artifacts")
    for key, entry in (artifacts if isinstance(artifacts, dict) else {}).items():
        path = entry.get("path") if isinstance(entry, dict) else None
        if key not in FILE_NAMES or path != f"artifacts/{FILE_NAMES[key]}":
            raise ModelError(f"{_refuse(name)}: its artifact {key!r} is at {path!r}")
    for path in sorted(Path(folder).rglob("*")):
        relative = path.relative_to(folder).as_posix()
        if path.is_symlink() or not (path.is_dir() or path.is_file()):
            raise ModelError(f"{_refuse(name)}: {relative!r} is no file")
        if relative == code_file:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            if digest not in RELEASED_CODE:
                raise ModelError(
                    f"{_refuse(name)}: {code_file} (SHA-256 {digest}) is of no release that this "
                    "one knows; a model of a newer Headrace is promoted by that one"
                )
        elif path.is_file() and not (path.suffix in _DATA or path.name.startswith("variables.")):
            raise ModelError(f"{_refuse(name)}: {relative!r} is no file of such a model")


def _read_flavor(file: Path, name: str) -> dict[str, Any]:
    """Read what MLflow would load the model by."""
    try:
        tree = yaml.safe_load(file.read_bytes())
        flavor = tree["flavors"]["python_function"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError, yaml.YAMLError) as error:
        reason = f"its MLmodel cannot be read ({type(error).__name__})"
        raise ModelError(f"{_refuse(name)}: {reason}") from None
    if not isinstance(flavor, dict):
        raise ModelError(f"{_refuse(name)}: its MLmodel names no loader")
    return {str(key): value for key, value in flavor.items()}


def _refuse(name: str) -> str:
    return f"model {name} was not loaded, because it is not as Headrace wrote it"
