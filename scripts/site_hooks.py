"""What the site of docs/ does with links that leave it; `mkdocs.yml` names this file.

Pages of docs/ are read in the repository as well, where a link to `../SECURITY.md` leads to a file.
The site has no such page: there the link becomes its text, and the path where the text is another.
"""

import re
from pathlib import Path, PurePosixPath
from typing import Any

_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((\.\./[^)\s#]+)(#[^)]*)?\)")


def on_page_markdown(markdown: str, *, page: Any, config: Any, **_: Any) -> str:
    """Return the page with links to files outside docs/ as text; called by mkdocs."""
    root = Path(config.config_file_path).parent
    return unlink_files(markdown, PurePosixPath("docs", page.file.src_uri), root)


def unlink_files(markdown: str, page: PurePosixPath, root: Path) -> str:
    """Return Markdown without links to files of the repository that the site has not.

    Args:
        markdown: the text of a page.
        page: its path in the repository.
        root: the repository's folder.
    """

    def replace(match: re.Match[str]) -> str:
        text, target = match[1], match[2]
        file = (root / page.parent / target).resolve()
        inside = root / "docs"
        if not file.exists() or file.is_relative_to(inside.resolve()):
            return match[0]  # mkdocs checks it
        path = file.relative_to(root.resolve()).as_posix()
        return text if text.strip("`") == path else f"{text} (`{path}`)"

    return _LINK.sub(replace, markdown)
