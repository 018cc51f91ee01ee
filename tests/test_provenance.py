"""The commit is that of our checkout, and never that of a repository that we happen to be in."""

import subprocess
from pathlib import Path

import pytest

from headrace import provenance


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a commit; Git's own settings are not read."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.delenv("GIT_DIR", raising=False)
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "t")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "t@example.com")
    root = tmp_path / "repository"
    root.mkdir()
    run_git(root, "init", "--quiet")
    run_git(root, "commit", "--quiet", "--allow-empty", "-m", "first")
    return root


def run_git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def find_commit_of(package: Path, monkeypatch: pytest.MonkeyPatch) -> str | None:
    """Ask as if the package were there, past the cache of the answer."""
    package.mkdir(parents=True, exist_ok=True)
    monkeypatch.setattr(provenance, "_PACKAGE", package)
    return provenance.find_git_commit.__wrapped__()


def test_a_checkout_has_its_commit(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = find_commit_of(repository / "pipelines" / "headrace", monkeypatch)
    assert commit == run_git(repository, "rev-parse", "HEAD")
    run_git(repository, "commit", "--quiet", "--allow-empty", "-m", "second")
    newer = find_commit_of(repository / "pipelines" / "headrace", monkeypatch)
    assert newer == run_git(repository, "rev-parse", "HEAD") != commit


def test_a_worktree_is_a_checkout(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worktree = tmp_path / "worktree"
    run_git(repository, "worktree", "add", "--quiet", "--detach", str(worktree))
    assert (worktree / ".git").is_file()
    assert find_commit_of(worktree / "pipelines" / "headrace", monkeypatch) is not None


@pytest.mark.parametrize(
    "package",
    [
        ".venv/lib/python3.11/site-packages/headrace",
        "headrace",
        "site-packages/headrace",
        "vendor/pipelines/headrace",  # a copy below somebody else's root
    ],
)
def test_somebody_else_s_repository_is_not_ours(
    repository: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    assert find_commit_of(repository / package, monkeypatch) is None


def test_an_installed_package_has_no_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_commit_of(tmp_path / "pipelines" / "headrace", monkeypatch) is None


def test_without_git_there_is_no_commit(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert find_commit_of(repository / "pipelines" / "headrace", monkeypatch) is None


def test_a_repository_without_a_commit_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_git(tmp_path, "init", "--quiet")
    assert find_commit_of(tmp_path / "pipelines" / "headrace", monkeypatch) is None
