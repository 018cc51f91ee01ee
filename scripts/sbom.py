"""Write the bill of materials of an installation: CycloneDX, with the licences of what is in it.

    python scripts/sbom.py > headrace.cdx.json

The packages, their digests and who requires whom are those of `uv.lock`, as `uv export` writes
them; the licences are those of the environment that runs it, which is the locked one. The same
commit gives the same bytes: the time is SOURCE_DATE_EPOCH, and the serial number follows from the
contents.
"""

import json
import os
import shutil
import subprocess
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from licences import describe_licence, list_installed
from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

_ROOT = Path(__file__).resolve().parent.parent
_NAMESPACE = uuid.UUID("5a0cf8d6-3c3e-5c39-9a52-0e7f4d7a3b11")


def main() -> None:
    """Print the bill of this checkout."""
    bill = export_lock(_ROOT)
    add_licences(bill)
    pin_identity(bill, int(os.environ.get("SOURCE_DATE_EPOCH", "0")))
    json.dump(bill, sys.stdout, indent=1)
    print()


def export_lock(root: Path) -> dict[str, Any]:
    """Return the packages of the lock that run, as CycloneDX."""
    command = [
        find_uv(), "export", "--frozen", "--preview-features", "sbom-export",
        "--format", "cyclonedx1.5", "--no-default-groups", "--group", "all", "--all-extras",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    bill: dict[str, Any] = json.loads(done.stdout)
    return bill


def find_uv() -> str:
    """Return the path of uv: the one on PATH, or the one that set-up installed."""
    folders = [os.environ.get("PATH", os.defpath), str(Path.home() / ".local/bin")]
    uv = shutil.which("uv", path=os.pathsep.join([*folders, str(_ROOT / ".tools/uv/bin")]))
    if uv is None:
        raise SystemExit("uv is missing: run make setup")
    return uv


def add_licences(bill: dict[str, Any]) -> None:
    """Add to each package the licence that its metadata names, where it is installed here."""
    installed = list_installed()
    bill["metadata"]["component"]["licenses"] = [{"expression": "Apache-2.0"}]
    for component in bill["components"]:
        distribution = installed.get(component["name"])
        if distribution is None or distribution.version != component["version"]:
            continue  # of another Python, or of an extra that this environment has not
        text = describe_licence(distribution)
        try:
            component["licenses"] = [{"expression": str(canonicalize_license_expression(text))}]
        except InvalidLicenseExpression:
            component["licenses"] = [{"license": {"name": text}}]


def pin_identity(bill: dict[str, Any], epoch: int) -> None:
    """Replace what changes from one export to the next: its time and its serial number."""
    bill["metadata"]["timestamp"] = datetime.fromtimestamp(epoch, UTC).isoformat()
    del bill["serialNumber"]
    digest = uuid.uuid5(_NAMESPACE, json.dumps(bill, sort_keys=True))
    bill["serialNumber"] = f"urn:uuid:{digest}"


if __name__ == "__main__":
    main()
