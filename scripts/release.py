"""Cut a release: run the matrix, write version, CHANGELOG and digests, commit, tag and build.

    python scripts/release.py 0.2.0            # the whole of it; pushing is left to you
    python scripts/release.py 0.2.0 --dry-run  # in a clone, without the matrix: what would be

Nothing is changed before the matrix is green. What is built comes from the release's commit.
"""

import argparse
import hashlib
import os
import re
import subprocess
import sys
import tempfile
from datetime import UTC, date, datetime
from pathlib import Path

from build_release import build_release, run_git
from sbom import find_uv

_ROOT = Path(__file__).resolve().parent.parent
_CODE = "pipelines/headrace/tracking/model_code/raw_model.py"
_DIGESTS = "pipelines/headrace/tracking/model_check.py"
_STACKS = ("oldest", "newest")
_MATRIX: tuple[tuple[list[str], dict[str, str]], ...] = (
    *((["make", "test-stack"], {"STACK": stack}) for stack in _STACKS),
    (["make", "test-all"], {}),
)


def main() -> None:
    """Cut the release of the command line."""
    parser = argparse.ArgumentParser(description="Cut a release.")
    parser.add_argument("version", help="X.Y.Z, larger than the last one")
    parser.add_argument("--dry-run", action="store_true", help="in a clone, without the matrix")
    parser.add_argument("--out", type=Path, default=Path("dist"), help="folder of what is built")
    parser.add_argument("--date", type=date.fromisoformat, default=datetime.now(UTC).date())
    options = parser.parse_args()
    out = options.out.absolute()
    if dirt := run_git(_ROOT, "status", "--porcelain"):
        raise SystemExit(f"commit these first, a release is made of commits:\n{dirt}")
    check_version(read(_ROOT, "pyproject.toml"), options.version)
    if options.dry_run:
        for command, variables in _MATRIX:
            print(f"not run: {format_step(command, variables)}")
        with tempfile.TemporaryDirectory(prefix="headrace-release-") as folder:
            clone = Path(folder) / "clone"
            run_git(_ROOT, "clone", "--quiet", "--no-hardlinks", str(_ROOT), str(clone))
            write_release(clone, options.version, options.date)
            print(run_git(clone, "show", "--format=%s", "HEAD"))
            print_files(build_release(clone, out))
        return
    for command, variables in _MATRIX:
        print(f"running {format_step(command, variables)}", flush=True)
        subprocess.run(command, cwd=_ROOT, env={**os.environ, **variables}, check=True)
    write_release(_ROOT, options.version, options.date)
    run_git(_ROOT, "tag", f"v{options.version}")
    print_files(build_release(_ROOT, out))
    print(f"push it: git push origin HEAD v{options.version}")


def write_release(root: Path, version: str, day: date) -> None:
    """Write what a release changes into a checkout, and commit it.

    Args:
        root: of the checkout.
        version: of the release.
        day: that it is dated.
    """
    before = read_version(read(root, "pyproject.toml"))
    digest = hashlib.sha256((root / _CODE).read_bytes()).hexdigest()
    changes = {
        "CHANGELOG.md": release_changelog(read(root, "CHANGELOG.md"), version, day),
        "pyproject.toml": replace_once(
            read(root, "pyproject.toml"), f'\nversion = "{before}"\n', f'\nversion = "{version}"\n'
        ),
        "pipelines/headrace/__init__.py": replace_once(
            read(root, "pipelines/headrace/__init__.py"),
            f'__version__ = "{before}"', f'__version__ = "{version}"',
        ),
        "uv.lock": replace_once(
            read(root, "uv.lock"),
            f'name = "headrace"\nversion = "{before}"', f'name = "headrace"\nversion = "{version}"',
        ),
        _DIGESTS: append_digest(read(root, _DIGESTS), digest),
    }  # fmt: skip
    for name, text in changes.items():
        (root / name).write_text(text, encoding="utf-8")
    command = [sys.executable, "scripts/licences.py"]
    licences = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    (root / "docs/licences.md").write_text(licences.stdout, encoding="utf-8")
    subprocess.run([find_uv(), "lock", "--check", "--quiet"], cwd=root, check=True)
    run_git(root, "commit", "--quiet", "--all", "--message", f"Release {version}")


def check_version(project: str, version: str) -> None:
    """Refuse a version that is no X.Y.Z, or not larger than that of `pyproject.toml`."""
    before = read_version(project)
    if not re.fullmatch(r"(0|[1-9]\d*)(\.(0|[1-9]\d*)){2}", version):
        raise SystemExit(f"got version {version!r}, expected X.Y.Z")
    if [*map(int, version.split("."))] <= [*map(int, before.split("."))]:
        raise SystemExit(f"version {version} is not larger than {before}, the last one")


def read_version(project: str) -> str:
    """Return the version in the text of `pyproject.toml`."""
    match = re.search(r'^version = "([^"]+)"$', project, re.MULTILINE)
    assert match
    return match[1]


def release_changelog(text: str, version: str, day: date) -> str:
    """Return the CHANGELOG with the entries that wait under the release's version and date.

    Raises:
        SystemExit: nothing waits, or the version has a section already.
    """
    head, mark, rest = text.partition("## [Unreleased]\n")
    waiting, next_mark, released = rest.partition("\n## [")
    if f"\n## [{version}]" in text:
        raise SystemExit(f"CHANGELOG.md has a section {version} already")
    if not mark or not waiting.strip():
        raise SystemExit("CHANGELOG.md has nothing under [Unreleased]: what is released?")
    return f"{head}{mark}\n## [{version}] - {day}\n{waiting}{next_mark}{released}"


def append_digest(text: str, digest: str) -> str:
    """Return `model_check.py` with the digest of the model's code as the last of those it knows."""
    match = re.search(r'RELEASED_CODE = frozenset\(\n    \{\n((?: +"[0-9a-f]{64}",\n)+)', text)
    if match is None:
        raise SystemExit(f"{_DIGESTS} has no RELEASED_CODE of one digest per line")
    line = f'        "{digest}",\n'
    lines = match[1].replace(line, "") + line
    return text[: match.start(1)] + lines + text[match.end(1) :]


def replace_once(text: str, old: str, new: str) -> str:
    """Replace a text that has to occur exactly once."""
    if text.count(old) != 1:
        raise SystemExit(f"expected {old.strip()!r} once, found it {text.count(old)} times")
    return text.replace(old, new)


def format_step(command: list[str], variables: dict[str, str]) -> str:
    """Format a step of the matrix as a shell would run it."""
    return " ".join([*(f"{key}={value}" for key, value in variables.items()), *command])


def print_files(files: list[Path]) -> None:
    """Print the paths of what was built."""
    for path in files:
        print(f"{path.stat().st_size:>12,}  {path}")


def read(root: Path, name: str) -> str:
    """Return the text of a file of a checkout."""
    return (root / name).read_text(encoding="utf-8")


if __name__ == "__main__":
    main()
