"""What a release publishes is the same bytes wherever and whenever it is built."""

import hashlib
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.licenses import canonicalize_license_expression

from tests.e2e.running import ROOT
from tests.scripts.loading import load_script

sbom = load_script("sbom")


def build(folder: Path, umask: str, zone: str) -> dict[str, bytes]:
    """Build this checkout's last commit from a clone in a folder of its own."""
    script = (
        f"umask {umask} && git clone --quiet {ROOT} {folder}/clone && cd {folder}/clone"
        f" && find . -name '*.py' -exec touch -d '2001-02-03' {{}} + && touch untracked.py"
        f" && {sys.executable} scripts/build_release.py {folder}/out"
    )
    uv = Path(sbom.find_uv()).parent
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, check=False,
        env={**os.environ, "TZ": zone, "PATH": f"{uv}:{os.environ['PATH']}"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return {path.name: path.read_bytes() for path in (folder / "out").iterdir()}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return build(tmp_path_factory.mktemp("one"), "022", "UTC")


@pytest.mark.long
def test_two_builds_are_equal_to_the_bit(
    built: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("another-folder-with-a-long-name") / "below"
    folder.mkdir()
    again = build(folder, "077", "Pacific/Kiritimati")
    assert set(built) == set(again)
    assert len(built) == 5
    for name, content in built.items():
        assert content == again[name], name
    sums = dict(line.split("  ")[::-1] for line in built["SHA256SUMS"].decode().splitlines())
    assert set(sums) == set(built) - {"SHA256SUMS"}
    for name, digest in sums.items():
        assert hashlib.sha256(built[name]).hexdigest() == digest


@pytest.mark.long
def test_the_archives_hold_what_the_package_needs_and_nothing_else(
    built: dict[str, bytes], tmp_path: Path
) -> None:
    for name, content in built.items():
        (tmp_path / name).write_bytes(content)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        in_wheel = archive.namelist()
    assert {n.split("/")[0] for n in in_wheel if ".dist-info/" not in n} == {"headrace"}
    assert any(n.endswith("licenses/NOTICE") for n in in_wheel)
    assert "headrace/distributed/horovod_build/pyproject.toml" in in_wheel
    (sdist,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        in_sdist = {n.partition("/")[2] for n in archive.getnames()}
    assert {"LICENSE", "NOTICE", "CHANGELOG.md", "docs/recipe.md", "jobs/prepare.py"} <= in_sdist
    assert not {n for n in in_sdist if n.startswith(("tests", ".venv", "uv.lock"))}
    assert "untracked.py" not in in_sdist


@pytest.mark.long
def test_the_bill_of_materials(built: dict[str, bytes]) -> None:
    (content,) = [text for name, text in built.items() if name.endswith(".cdx.json")]
    bill: dict[str, Any] = json.loads(content)
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.5")
    components = {component["name"]: component for component in bill["components"]}
    for name in ("pyspark", "tensorflow", "horovod", "petastorm", "pyarrow", "mlflow"):
        assert components[name]["purl"].startswith(f"pkg:pypi/{name}@")
        assert components[name]["licenses"], name
    assert "pytest" not in components
    references = [component["bom-ref"] for component in bill["components"]]
    assert len(references) == len(set(references))
    known = {*references, bill["metadata"]["component"]["bom-ref"]}
    for entry in bill["dependencies"]:
        assert {entry["ref"], *entry.get("dependsOn", [])} <= known
    without = [c["name"] for c in bill["components"] if "licenses" not in c]
    # Of another Python, of CUDA, or of a store whose extra the locked environment has not.
    assert len(without) < len(references) / 2


def test_licences_are_expressions_where_they_are_and_names_where_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    texts = {"numpy": "BSD-3-Clause", "pandas": "BSD License"}
    monkeypatch.setattr(sbom, "describe_licence", lambda d: texts[d.metadata["Name"].lower()])
    installed = sbom.list_installed()
    bill = {
        "metadata": {"component": {}},
        "components": [
            {"name": "numpy", "version": installed["numpy"].version},
            {"name": "pandas", "version": installed["pandas"].version},
            {"name": "numpy", "version": "1.0"},
            {"name": "no-such", "version": "1.0"},
        ],
    }
    sbom.add_licences(bill)
    numpy, pandas, old, absent = bill["components"]
    assert numpy["licenses"] == [{"expression": canonicalize_license_expression("BSD-3-Clause")}]
    assert pandas["licenses"] == [{"license": {"name": "BSD License"}}]
    assert "licenses" not in old
    assert "licenses" not in absent


def test_the_identity_follows_from_the_contents() -> None:
    def identify(name: str, epoch: int) -> dict[str, Any]:
        bill = {"serialNumber": "random", "metadata": {"timestamp": "now"}, "components": [name]}
        sbom.pin_identity(bill, epoch)
        return bill

    assert identify("a", 86_400)["metadata"]["timestamp"] == "1970-01-02T00:00:00+00:00"
    serials = [identify(*of)["serialNumber"] for of in (("a", 0), ("a", 0), ("b", 0), ("a", 1))]
    assert serials[0] == serials[1]
    assert len(set(serials)) == 3
    assert serials[0].startswith("urn:uuid:")
