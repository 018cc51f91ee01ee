"""The site of docs/ is whole: built strictly, without the network, from pages that are reached."""

import json
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path, PurePosixPath

import pytest

from tests.docs.pages import page_blocks
from tests.e2e.running import ROOT
from tests.scripts.loading import load_script

DOCS = ROOT / "docs"
# Runs mkdocs where a connection to anything is an error.
OFFLINE = """
import sys

def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        raise RuntimeError(f"the build asked the network: {arguments}")

sys.addaudithook(refuse)
from mkdocs.__main__ import cli
cli()
"""
# Folders of what names pages in its texts: code, errors, manifests.
NAMING = ("pipelines", "tests", "scripts", "deploy", "jobs", "conf", "benchmarks", ".github")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE, "build", "--strict", "--site-dir", str(folder)],
        capture_output=True, text=True, check=False, cwd=ROOT, env={**os.environ, "NO_COLOR": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    assert "WARNING" not in done.stderr
    return folder


def test_every_page_is_built(site: Path) -> None:
    for page in DOCS.rglob("*.md"):
        name = "index" if page.stem == "README" else page.stem
        assert (site / page.relative_to(DOCS).parent / f"{name}.html").exists(), page


def test_nothing_comes_from_elsewhere(site: Path) -> None:
    """Fonts, scripts and pictures are in the site (squidfunk/mkdocs-material#6181, #3781)."""
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\"([^\"]+)\"", text)
        for tag in re.findall(r"<link\b[^>]*>", text):
            if re.search(r"rel=\"?(?:stylesheet|icon|preload|preconnect)", tag):
                loaded += re.findall(r"href=\"([^\"]+)\"", tag)
        assert [url for url in loaded if "//" in url] == [], page
    for style in site.rglob("*.css"):
        text = style.read_text(encoding="utf-8")
        assert not re.search(r"@import|url\(\s*[\"']?https?:", text), style


def test_no_page_needs_a_script_of_elsewhere() -> None:
    """The theme fetches what draws Mermaid from a CDN: pictures are texts or files."""
    for page in page_blocks.list_pages():
        assert "```mermaid" not in (ROOT / page).read_text(encoding="utf-8"), page


def test_the_search_finds_what_pages_say(site: Path) -> None:
    index = json.loads((site / "search/search_index.json").read_text(encoding="utf-8"))
    entries = {entry["location"]: entry["text"] for entry in index["docs"]}
    assert any("max_restarts" in text for text in entries.values())
    assert any(location.startswith("faq.html#which-learning-rate") for location in entries)


def test_markdown_is_rendered(site: Path) -> None:
    """What GitHub renders and Python-Markdown does not: lists without a blank line before them, and
    fences in lists of two spaces (Python-Markdown/markdown#1316, mkdocs/mkdocs#2038)."""
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        text = re.sub(r"<(pre|code|script)\b.*?</\1>", "", text, flags=re.DOTALL)
        assert "```" not in text, page
        assert not re.search(r"<p>[^<]*\n[-*] |<p>[^<]*\n1\. |<p>\|", text), page
        assert not re.search(r"\]\([\w./-]+\.md", text), page


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 180


def test_pictures_of_the_readme_exist() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for target in re.findall(r"(?:src=\"|!\[[^\]]*\]\()([^\")]+)", text):
        assert (ROOT / target).exists(), target


# --- links and anchors, as the repository has them ----------------------------------------------
LINKING = [*page_blocks.list_pages(), "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"]


def make_anchor(heading: str) -> str:
    """Return the anchor that GitHub gives a heading; `mkdocs.yml` has the site do the same."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[^\w -]", "", text.lower()).strip().replace(" ", "-")


@cache
def list_anchors(page: Path) -> frozenset[str]:
    text = re.sub(r"^ *```.*?^ *```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    return frozenset(make_anchor(item) for item in re.findall(r"^#+ (.*)$", text, re.MULTILINE))


@pytest.mark.parametrize("page", LINKING)
def test_links_lead_somewhere(page: str) -> None:
    file = ROOT / page
    for target, anchor in re.findall(
        r"\]\((?!https?:)([^)#\s]*)#?([^)\s]*)\)", file.read_text(encoding="utf-8")
    ):
        linked = file.parent / target if target else file
        assert linked.exists(), target
        if anchor and linked.suffix == ".md":
            assert anchor in list_anchors(linked), f"{target}#{anchor}"


def test_anchors_are_the_same_in_the_site(site: Path) -> None:
    """GitHub keeps what mkdocs would collapse, so links would work in one of them alone
    (hw-native-sys/simpler#1581)."""
    for page in DOCS.rglob("*.md"):
        name = "index" if page.stem == "README" else page.stem
        built = site / page.relative_to(DOCS).parent / f"{name}.html"
        ids = {*re.findall(r"<h\d id=\"([^\"]+)\"", built.read_text(encoding="utf-8"))}
        missing = {anchor for anchor in list_anchors(page) if anchor not in ids}
        assert missing == set(), page


def test_what_code_names_is_there() -> None:
    """Pages, anchors and sections that code, errors and manifests send people to."""
    named = 0
    for folder in NAMING:
        for file in (ROOT / folder).rglob("*"):
            if file.suffix not in (".py", ".sh", ".md", ".yaml", ".yml", ".toml", ""):
                continue
            if not file.is_file() or "fixtures" in file.parts or "__pycache__" in file.parts:
                continue
            if file == Path(__file__):
                continue
            for page, anchor, heading in find_references(file.read_text(encoding="utf-8")):
                named += 1
                where = f"{file.relative_to(ROOT)} names {page}"
                assert (ROOT / page).exists(), where
                if anchor:
                    assert anchor in list_anchors(ROOT / page), f"{where}#{anchor}"
                if heading:
                    assert make_anchor(heading) in list_anchors(ROOT / page), f"{where}, {heading}"
    assert named > 20


def find_references(text: str) -> list[tuple[str, str, str]]:
    """Return page, anchor and section of each mention: `docs/x.md#y`, or `docs/x.md, «Y»`."""
    mention = (
        r"(?<![\w.])(?:(?:\.\./)+)?(docs/[\w/-]+\.md|(?<!/)README)(?:\.md)?\)?"
        r"(?:#([\w-]+))?(?:\)?, [*«]([\w ]+)[*»])?"
    )
    found = []
    for page, anchor, heading in re.findall(mention, text):
        path = "README.md" if page == "README" else page
        if path != "README.md" or heading:
            found.append((path, anchor, heading))
    return found


def test_references_are_recognized() -> None:
    text = "see docs/a.md#b, (docs/how-to/c.md, «Stop»), [x](../../docs/d.md), README, *Two rows*"
    assert find_references(text) == [
        ("docs/a.md", "b", ""),
        ("docs/how-to/c.md", "", "Stop"),
        ("docs/d.md", "", ""),
        ("README.md", "", "Two rows"),
    ]


# --- links that leave the site ------------------------------------------------------------------
def test_links_to_files_become_their_paths(tmp_path: Path) -> None:
    hooks = load_script("site_hooks")
    (tmp_path / "docs/how-to").mkdir(parents=True)
    (tmp_path / "deploy").mkdir()
    for name in ("SECURITY.md", "deploy/README.md", "docs/a.md"):
        (tmp_path / name).write_text("")
    page = PurePosixPath("docs/how-to/page.md")
    text = "[SECURITY.md](../../SECURITY.md) [it](../../deploy/README.md#x) [a](../a.md)"
    assert hooks.unlink_files(text, page, tmp_path) == (
        "SECURITY.md it (`deploy/README.md`) [a](../a.md)"
    )
