"""Write docs/python.md, the reference of the promised Python names, from their docstrings.

    .venv/bin/python scripts/python_reference.py > docs/python.md

Which names are promised is said by the table of docs/public-surface.md alone; with a function go
the classes of Headrace that it returns. Modules are parsed and not imported: neither TensorFlow
nor Spark has to be there.
"""

import ast
import re
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "pipelines"
_INTRODUCTION = """# Python

The Python names that [are promised](public-surface.md), with what their docstrings say of
arguments, results and errors. This page is generated: `scripts/python_reference.py`. What a name
begins with is the module that it is imported from; every other name of the package may change in
any release.
"""
_SECTION = re.compile(r"^(Args|Attributes|Returns|Yields|Raises|Example|Examples):$")
Definition = ast.FunctionDef | ast.ClassDef


@dataclass(frozen=True)
class Name:
    """A name that is imported as `path`, and where it is defined, by that name or another."""

    path: str
    definition: Definition
    home: str

    @property
    def called(self) -> str:
        """Return the name without its module."""
        return self.path.rpartition(".")[2]


def main() -> None:
    """Print the page."""
    sys.stdout.write(write_reference())


def write_reference() -> str:
    """Return the page as Markdown."""
    parts = [_INTRODUCTION]
    for name in collect_names():
        parts += [f"## {name.path}", "", *_describe(name), ""]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(parts)).rstrip() + "\n"


def collect_names() -> list[Name]:
    """Return the promised names, and the classes that promised functions return."""
    page = (ROOT / "docs/public-surface.md").read_text(encoding="utf-8")
    promised = [find_name(path) for path in re.findall(r"^\| `(headrace\.[\w.]+)`", page, re.M)]
    names: dict[tuple[str, str], Name] = {(n.home, n.definition.name): n for n in promised}
    for name in promised:
        for returned in _find_returned_classes(name):
            names.setdefault((returned.home, returned.definition.name), returned)
    return list(names.values())


def find_name(path: str) -> Name:
    """Return where a name is defined, through the modules that hand it on.

    Raises:
        LookupError: no module defines it.
    """
    module, _, wanted = path.rpartition(".")
    home, target = module, wanted
    for _ in range(10):
        tree = _parse(home)
        for node in ast.walk(tree):
            if isinstance(node, Definition) and node.name == target:
                return Name(path, node, home)
        imported = _find_import(tree, target)
        if imported is None:
            break
        home, target = imported
    raise LookupError(f"docs/public-surface.md promises {path}, which {module} does not define")


def _parse(module: str) -> ast.Module:
    """Parse a module, and what it says to checkers of types alone (`.pyi`)."""
    path = SOURCE / module.replace(".", "/")
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    files = [item for item in (file, file.with_suffix(".pyi")) if item.exists()]
    return ast.parse("\n".join(item.read_text(encoding="utf-8") for item in files))


def _find_import(tree: ast.Module, name: str) -> tuple[str, str] | None:
    """Return module and name that a module imports under a name; for type checkers, too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return node.module, alias.name
    return None


def _find_returned_classes(name: Name) -> list[Name]:
    """Return the classes of Headrace that a function returns; sections of a recipe are left out."""
    definition = name.definition
    if not isinstance(definition, ast.FunctionDef) or definition.returns is None:
        return []
    words = set(re.findall(r"[A-Za-z_]\w*", ast.unparse(definition.returns)))
    tree, found = _parse(name.home), []
    for word in sorted(words):
        local = any(isinstance(node, ast.ClassDef) and node.name == word for node in tree.body)
        imported = _find_import(tree, word)
        home = name.home if local else imported[0] if imported else ""
        if home.startswith("headrace.") and not home.startswith("headrace.recipe"):
            found.append(find_name(f"{home}.{word}"))
    return [item for item in found if isinstance(item.definition, ast.ClassDef)]


def _describe(name: Name) -> list[str]:
    definition = name.definition
    if isinstance(definition, ast.FunctionDef):
        signature = _format_signature(definition, name.called)
        return [*_fence(signature), *_format_docstring(definition)]
    lines = [*_format_docstring(definition)]
    if constructor := _find_constructor(definition):
        lines = [*_fence(constructor), *lines]
    for member in definition.body:
        if not isinstance(member, ast.FunctionDef) or member.name.startswith("_"):
            continue
        lines += ["", f"### {name.called}.{member.name}", ""]
        if _is_property(member):
            kind = ast.unparse(member.returns) if member.returns else "Any"
            lines += _fence(f"{member.name}: {kind}")
        else:
            lines += _fence(_format_signature(member, member.name))
        lines += _format_docstring(member)
    return lines


def _find_constructor(definition: ast.ClassDef) -> str | None:
    """Return the signature that the class is called with, where it has one of its own."""
    for member in definition.body:
        if isinstance(member, ast.FunctionDef) and member.name == "__init__":
            return _format_signature(member, definition.name)
    return None


def _is_property(member: ast.FunctionDef) -> bool:
    return any(
        ast.unparse(item).rpartition(".")[2] in ("property", "cached_property")
        for item in member.decorator_list
    )


def _format_signature(definition: ast.FunctionDef, called: str) -> str:
    """Return a signature as one calls it: without self, an argument a line where it is long."""
    arguments = definition.args
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(positional) - len(arguments.defaults)) + list(arguments.defaults)
    parts = [
        _format_argument(item, default)
        for item, default in zip(positional, defaults, strict=True)
        if item.arg not in ("self", "cls")
    ]
    if arguments.vararg:
        parts.append("*" + _format_argument(arguments.vararg, None))
    elif arguments.kwonlyargs:
        parts.append("*")
    parts += [
        _format_argument(item, default)
        for item, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    ]
    if arguments.kwarg:
        parts.append("**" + _format_argument(arguments.kwarg, None))
    is_constructor = definition.name == "__init__"
    hides = is_constructor or definition.returns is None
    returns = "" if hides else f" -> {ast.unparse(definition.returns or definition)}"
    line = f"{called}({', '.join(parts)}){returns}"
    if len(line) <= 88:
        return line
    inner = "".join(f"    {part},\n" for part in parts)
    return f"{called}(\n{inner}){returns}"


def _format_argument(item: ast.arg, default: ast.expr | None) -> str:
    text = item.arg
    if item.annotation is not None:
        text += f": {_strip_annotated(item.annotation)}"
    if default is not None:
        text += f" = {ast.unparse(default)}" if item.annotation else f"={ast.unparse(default)}"
    return text


def _strip_annotated(annotation: ast.expr) -> str:
    """Return a type without what `Annotated` has beside it: options of the command line."""
    if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) == "Annotated":
        inner = annotation.slice
        return ast.unparse(inner.elts[0]) if isinstance(inner, ast.Tuple) else ast.unparse(inner)
    return ast.unparse(annotation)


def _fence(code: str) -> list[str]:
    return ["```text", code, "```", ""]


def _format_docstring(definition: Definition) -> list[str]:
    """Return a docstring as Markdown: sections such as `Args:` become lists."""
    lines: list[str] = []
    section = ""
    for block in _split_docstring(ast.get_docstring(definition) or ""):
        head, _, body = block.partition("\n")
        if _SECTION.match(head):
            section = head.rstrip(":")
            lines += [f"**{section}**", "", *_format_section(textwrap.dedent(body)), ""]
        else:
            lines += [block if block.startswith("    ") else " ".join(block.split()), ""]
    return lines


def _split_docstring(text: str) -> list[str]:
    """Return paragraphs; a section with all that is indented below it is one."""
    blocks: list[str] = []
    for paragraph in text.split("\n\n"):
        in_section = blocks and _SECTION.match(blocks[-1].partition("\n")[0])
        if in_section and paragraph.startswith("    "):
            blocks[-1] += "\n\n" + paragraph
        else:
            blocks.append(paragraph)
    return [block for block in blocks if block.strip()]


def _format_section(body: str) -> list[str]:
    """Return entries `name: text` as a list, and other text as paragraphs."""
    entries: list[str] = []
    for line in body.splitlines():
        if not line.strip():
            continue
        match = re.match(r"^([`*\w.]+(?:, [`*\w.]+)*): (.*)$", line)
        if match:
            names = ", ".join(f"`{name.strip(' `')}`" for name in match[1].split(","))
            entries.append(f"- {names}: {match[2]}")
        elif (line.startswith(" ") and entries) or (entries and not entries[-1].startswith("- ")):
            entries[-1] += f" {line.strip()}"
        else:
            entries.append(line.strip())
    return entries


if __name__ == "__main__":
    main()
