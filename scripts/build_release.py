"""Build what a release publishes, from the last commit and nothing else: the same bytes anywhere.

    python scripts/build_release.py DIRECTORY

That is the wheel, the sdist, a copy of the wheel as a zip for `spark-submit --py-files`, the bill
of materials, and SHA256SUMS of them. The commit's files are exported to a temporary folder, so that
neither what lies beside them nor the rights and times of this checkout matter.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from sbom import find_uv

_ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Build from the commit of this checkout into the directory of the command line."""
    if len(sys.argv) != 2:
        raise SystemExit("usage: build_release.py DIRECTORY")
    for path in build_release(_ROOT, Path(sys.argv[1])):
        print(path)


def build_release(root: Path, out: Path) -> list[Path]:
    """Build everything of a release from the last commit of a checkout.

    Args:
        root: of the checkout.
        out: folder to write to; it is created.

    Returns:
        The files that were written.
    """
    out.mkdir(parents=True, exist_ok=True)
    epoch = run_git(root, "log", "-1", "--format=%ct").strip()
    uv = find_uv()
    path = f"{Path(uv).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    environment = {**os.environ, "SOURCE_DATE_EPOCH": epoch, "PATH": path}
    with tempfile.TemporaryDirectory(prefix="headrace-release-") as folder:
        source, built = Path(folder) / "source", Path(folder) / "built"
        export_commit(root, source)
        # The wheel is built from the sdist: what the sdist lacks would be missing.
        build = [
            uv, "build", "--quiet", "--no-create-gitignore", "--out-dir", str(built),
            "--build-constraints", "scripts/build.txt", "--require-hashes",
        ]  # fmt: skip
        subprocess.run(build, cwd=source, env=environment, check=True)
        (wheel,) = built.glob("*.whl")
        shutil.copyfile(wheel, wheel.with_suffix(".zip"))
        bill = built / f"{'-'.join(wheel.name.split('-')[:2])}.cdx.json"
        with bill.open("w", encoding="utf-8") as stream:
            command = [sys.executable, "scripts/sbom.py"]
            subprocess.run(command, cwd=source, env=environment, stdout=stream, check=True)
        files = [Path(shutil.copy(path, out)) for path in sorted(built.iterdir())]
    sums = out / "SHA256SUMS"
    sums.write_text("".join(f"{hash_file(path)}  {path.name}\n" for path in files))
    return [*files, sums]


def export_commit(root: Path, folder: Path) -> None:
    """Write the files of the last commit into a folder."""
    archive = folder.with_suffix(".tar")
    run_git(root, "archive", "--format=tar", f"--output={archive}", "HEAD")
    with tarfile.open(archive) as files:
        files.extractall(folder, filter="data")


def run_git(root: Path, *words: str) -> str:
    """Run git in a checkout, and return what it prints."""
    command = ["git", "-C", str(root), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
