"""What a release writes: versions, the CHANGELOG's section, digests of the model's code."""

import hashlib
import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from tests.e2e.running import ROOT
from tests.scripts.loading import SCRIPTS, load_script

release = load_script("release")
DAY = date(2026, 12, 1)
CHANGELOG = """# Changelog

## [Unreleased]

### Added

- A thing.

## [0.1.0] - 2026-11-22

- The first.
"""


def test_what_waits_gets_the_version_and_the_date() -> None:
    assert release.release_changelog(CHANGELOG, "0.2.0", DAY) == (
        "# Changelog\n\n## [Unreleased]\n\n## [0.2.0] - 2026-12-01\n\n### Added\n\n- A thing.\n\n"
        "## [0.1.0] - 2026-11-22\n\n- The first.\n"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (CHANGELOG.replace("### Added\n\n- A thing.\n\n", ""), r"nothing under \[Unreleased\]"),
        (CHANGELOG.replace("[0.1.0]", "[0.2.0]"), "has a section 0.2.0 already"),
    ],
)
def test_a_changelog_that_says_nothing_is_refused(text: str, message: str) -> None:
    with pytest.raises(SystemExit, match=message):
        release.release_changelog(text, "0.2.0", DAY)


@pytest.mark.parametrize(
    ("version", "message"),
    [
        ("0.1.0", "not larger than 0.1.0"),
        ("0.0.9", "not larger"),
        ("v0.2.0", "expected X.Y.Z"),
        ("0.2", "expected X.Y.Z"),
        ("0.2.0rc1", "expected X.Y.Z"),
        ("0.02.0", "expected X.Y.Z"),
    ],
)
def test_versions_that_are_refused(version: str, message: str) -> None:
    with pytest.raises(SystemExit, match=message):
        release.check_version('[project]\nversion = "0.1.0"\n', version)


@pytest.mark.parametrize("version", ["0.1.1", "0.2.0", "0.10.0", "1.0.0"])
def test_larger_versions_are_taken(version: str) -> None:
    release.check_version('[project]\nversion = "0.1.0"\n', version)


def test_the_digest_of_the_models_code_becomes_the_last() -> None:
    first, second = "a" * 64, "b" * 64
    lines = f'        "{first}",\n        "{second}",\n'
    text = f"X\nRELEASED_CODE = frozenset(\n    {{\n{lines}    }}\n)\n"
    new = "c" * 64
    added = release.append_digest(text, new)
    assert added == text.replace(f'"{second}",\n', f'"{second}",\n        "{new}",\n')
    assert release.append_digest(added, new) == added
    moved = release.append_digest(text, first)
    assert moved.index(second) < moved.index(first)
    assert moved.count(first) == 1
    with pytest.raises(SystemExit, match="no RELEASED_CODE"):
        release.append_digest("RELEASED_CODE = set()", new)


def test_the_list_of_this_checkout_can_be_appended_to() -> None:
    text = (ROOT / release._DIGESTS).read_text()
    digest = hashlib.sha256((ROOT / release._CODE).read_bytes()).hexdigest()
    assert digest in release.append_digest(text, digest)
    assert release.append_digest(text, "d" * 64).count('"d') == 1


def test_the_matrix_runs_oldest_and_newest_before_everything_of_the_lock() -> None:
    assert [release.format_step(*step) for step in release._MATRIX] == [
        "STACK=oldest make test-stack",
        "STACK=newest make test-stack",
        "make test-all",
    ]


def git(folder: Path, *words: str) -> str:
    command = ["git", "-C", str(folder), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone of this checkout's last commit, whose author is known."""
    git(tmp_path, "clone", "--quiet", str(ROOT), str(tmp_path / "clone"))
    git(tmp_path / "clone", "config", "user.name", "Someone")
    git(tmp_path / "clone", "config", "user.email", "someone@example.org")
    return tmp_path / "clone"


def run_release(clone: Path, *options: str) -> subprocess.CompletedProcess[str]:
    uv = Path(load_script("sbom").find_uv()).parent
    return subprocess.run(
        [sys.executable, "scripts/release.py", *options],
        capture_output=True, text=True, check=False, cwd=clone,
        env={**os.environ, "PATH": f"{uv}:{os.environ['PATH']}"},
    )  # fmt: skip


@pytest.mark.long
def test_a_dry_run_builds_everything_and_changes_nothing(clone: Path, tmp_path: Path) -> None:
    before = git(clone, "rev-parse", "HEAD")
    out = tmp_path / "out"
    done = run_release(clone, "9.8.7", "--dry-run", "--out", str(out), "--date", "2026-12-01")
    assert done.returncode == 0, done.stderr
    assert "not run: STACK=oldest make test-stack" in done.stdout
    assert "+## [9.8.7] - 2026-12-01" in done.stdout
    assert '+version = "9.8.7"' in done.stdout
    names = {path.name for path in out.iterdir()}
    assert names == {
        "headrace-9.8.7-py3-none-any.whl", "headrace-9.8.7-py3-none-any.zip",
        "headrace-9.8.7.tar.gz", "headrace-9.8.7.cdx.json", "SHA256SUMS",
    }  # fmt: skip
    assert (git(clone, "rev-parse", "HEAD"), git(clone, "status", "--porcelain")) == (before, "")
    assert git(clone, "tag", "--list", "v9.8.7") == ""


@pytest.mark.long
def test_a_checkout_with_changes_is_not_released(clone: Path) -> None:
    (clone / "README.md").write_text("changed")
    done = run_release(clone, "9.8.7", "--dry-run")
    assert done.returncode == 1
    assert "commit these first" in done.stderr
    assert "README.md" in done.stderr


def test_the_scripts_are_where_make_calls_them() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for name in ("release.py", "build_release.py", "measure_requirements.py", "licences.py"):
        assert f"scripts/{name}" in makefile
        assert (SCRIPTS / name).is_file()
