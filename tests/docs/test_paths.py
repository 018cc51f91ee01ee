"""Check that the documents name files, modules, targets and layers that exist."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

import headrace
from tests.e2e.running import ROOT

PACKAGE = ROOT / "pipelines/headrace"
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/**/*.md", "deploy/*/README.md")
    for path in ROOT.glob(pattern)
    if path.name not in ("CHANGELOG.md", "licences.md")  # old names, and other packages' names
)
# Folders whose name begins a path: those of the project, and the rooms of the package.
FOLDERS = (
    ".github", "benchmarks", "conf", "deploy", "docs", "jobs", "pipelines", "scripts", "tests",
    *(path.parent.name for path in PACKAGE.glob("*/__init__.py")),
)  # fmt: skip
# Modules that CONTRIBUTING.md has somebody write.
EXAMPLES = re.compile(r"\b(test_)?(square_root|count)\.py$")
_WORD = re.compile(r"[\w./*<>${}:=~@-]+")
_ELSEWHERE = re.compile(r"[<>${}:=~@]|^/|\b[A-Z]+/|\.venv\b")  # placeholders, URLs, what is made


def find_paths(text: str) -> set[str]:
    """Return the words of a page that are paths of this project."""
    words = {word.rstrip(".:") for word in _WORD.findall(text)}
    return {
        word
        for word in words
        if (word.endswith((".py", ".sh")) or word.startswith(tuple(f"{f}/" for f in FOLDERS)))
        and not _ELSEWHERE.search(word)
        and not EXAMPLES.search(word)
    }


def list_names(module: Path) -> set[str]:
    """Return the names that a module or package defines or imports, for type checkers too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names


def exists(path: str, page: Path) -> bool:
    """Return whether a path exists beside the page, in the project or in the package."""
    return any(list(base.glob(path.rstrip("/"))) for base in (page.parent, ROOT, PACKAGE))


TAGS = {
    "headrace.stage", "headrace.champions", "headrace.stream_engine", "headrace.verdict",
    "headrace.build",
}  # fmt: skip
"""Tags in MLflow; the first is a label in Kubernetes as well, the last one a key of a commit."""


def resolves(name: str) -> bool:
    """Return whether `headrace.a.b.name` is a module, or a name that one defines."""
    path = PACKAGE.parent / name.replace(".", "/")
    if path.is_dir() or path.with_suffix(".py").exists():
        return True
    package = path.parent / "__init__.py"
    module = package if package.exists() else path.parent.with_suffix(".py")
    if module == PACKAGE / "__init__.py":  # what it has is imported where it is used
        return path.name in headrace.__all__
    return module.exists() and path.name in list_names(module)


def test_paths_and_names_are_recognized() -> None:
    text = "see `formats.py` (tests/compat), s3://tests/x, /opt/a.sh, $W/lake/x, labels/count.py."
    assert find_paths(text) == {"formats.py", "tests/compat"}
    assert exists("formats.py", ROOT / "README.md")
    assert not exists("no_such_module.py", ROOT / "README.md")
    assert resolves("headrace.lake.ledger.Ledger")
    assert resolves("headrace.commands.run_job")
    assert not resolves("headrace.lake.ledger.NoSuchName")
    assert not resolves("headrace.no_such_module")


@pytest.mark.parametrize("page", PAGES)
def test_paths_exist(page: str) -> None:
    file = ROOT / page
    missing = sorted(path for path in find_paths(file.read_text()) if not exists(path, file))
    assert missing == []


@pytest.mark.parametrize("page", PAGES)
def test_modules_exist(page: str) -> None:
    text = (ROOT / page).read_text()
    names = set(re.findall(r"(?<![\w/-])headrace(?:\.[a-z_]\w*)+(?:\.[A-Z]\w+)?", text))
    names -= TAGS
    assert sorted(name for name in names if not resolves(name)) == []
    scripts = {f"benchmarks/{name}.py" for name in re.findall(r"-m benchmarks\.(\w+)", text)}
    assert sorted(path for path in scripts if not (ROOT / path).exists()) == []


@pytest.mark.parametrize("page", PAGES)
def test_make_targets_exist(page: str) -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:^ {4}|`)make ([a-z][\w-]*)", (ROOT / page).read_text(), re.M))
    assert named - targets == set()


def test_layers_are_those_of_the_import_contract() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (contract,) = (c for c in project["tool"]["importlinter"]["contracts"] if c["id"] == "layers")
    text = (ROOT / "CONTRIBUTING.md").read_text().partition("From the top:\n\n")[2]
    lines = text.partition("\n\n")[0].splitlines()
    assert [re.split(r" {2,}", line.strip())[0] for line in lines] == contract["layers"]
