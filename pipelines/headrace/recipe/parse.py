"""Parse YAML to plain types, with the surprises of YAML 1.1 taken out.

`no` and `on` are texts, and so are 007, 0o7, 0x7 and 12:30, which YAML 1.1 reads as false, true and
numbers to other bases; a date is a text; `1e-3` is a number; a key written twice is an error, where
YAML would keep the last; and keys are always texts.

A text is bounded before anything is made of it: in length, depth, and in the number of values that
its aliases stand for, so that none takes a machine's memory or a scheduler's time.

At the places of `LITERALS` a value stands for what a column or a reader holds, so it must be what
was written: in a list of values 1.50 and 1e3 stay texts, which are read by the type of the column.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import yaml

LITERALS: tuple[tuple[str, ...], ...] = (
    ("clean", "rules", "*", "values", "*"),
    ("clean", "rules", "*", "min"),
    ("clean", "rules", "*", "max"),
    ("source", "tables", "*", "options", "*"),
    ("spark", "conf", "*"),
)
"""Places of a recipe whose values are not settings; `*` is any key or position."""
MAX_CHARACTERS = 2**20
"""Of a recipe. Lists that are longer belong in a table, to be joined."""
_MAX_DEPTH = 40
_MAX_VALUES = 20_000  # aliases counted as what they stand for
_MAX_DIGITS = 400
_TAG = "tag:yaml.org,2002:"
_MERGE = f"{_TAG}merge"
_NUMBER_START = "-+.0123456789"
_RESOLVERS: tuple[tuple[str, str, str], ...] = (
    ("null", r"~|null|Null|NULL|", "~nN\0"),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?(0|[1-9][0-9_]*)", _NUMBER_START),
    (
        "float",
        r"[-+]?((0|[1-9][0-9_]*)\.[0-9_]*|\.[0-9][0-9_]*)([eE][-+]?[0-9]+)?"
        r"|[-+]?(0|[1-9][0-9_]*)[eE][-+]?[0-9]+"
        r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        _NUMBER_START,
    ),
    ("merge", r"<<", "<"),
)


def parse_yaml(text: str, at: Sequence[str] = ()) -> Any:
    """Parse `text`; only plain types come out.

    Args:
        text: YAML.
        at: the place in a recipe that the text is the value of; the whole recipe by default.

    Raises:
        yaml.YAMLError: the text is not YAML, a key is written twice, or a bound is exceeded.
    """
    return construct_events(check_bounds(text), at)


def construct_events(events: Sequence[yaml.events.Event], at: Sequence[str] = ()) -> Any:
    """Construct what `check_bounds` has scanned; see `parse_yaml`."""
    loader = EventLoader(events)
    try:
        root = loader.get_single_node()
        if root is None:
            return None
        for path, node in _find_literals(root, tuple(at)):
            if path[-1] not in ("min", "max"):  # of numbers and times
                _keep_as_written(node, with_booleans=path[0] == "clean")
        return loader.construct_document(root)
    finally:
        loader.dispose()


def check_bounds(text: str) -> list[yaml.events.Event]:
    """Check that a text, as YAML, is no larger than a recipe can be.

    Returns:
        the events of the text: scanning takes far longer than what is made of them, and is done
        once.

    Raises:
        yaml.YAMLError: it is longer, deeper, has more values, or a longer number, or an alias of
            what it is part of; or it is not YAML.
    """
    if len(text) > MAX_CHARACTERS:
        raise yaml.YAMLError(f"more than {MAX_CHARACTERS:,} characters")
    sizes: dict[str, int] = {}  # anchor -> values that it stands for
    open_: list[tuple[str | None, int]] = []  # anchor, and values before it
    values, events = 0, []
    for event in yaml.parse(text, Loader=RecipeLoader):
        events.append(event)
        anchor = getattr(event, "anchor", None)
        if isinstance(event, yaml.AliasEvent):
            if anchor not in sizes:
                raise _make_error(f"alias {anchor!r} of nothing, or of what it is in", event)
            values += sizes[anchor]
        elif isinstance(event, yaml.ScalarEvent):
            values += 1
            if anchor:
                sizes[anchor] = 1
            digits = event.value.strip("+-.0123456789_eE")
            if event.style is None and not digits and len(event.value) > _MAX_DIGITS:
                raise _make_error(f"a number of more than {_MAX_DIGITS} digits", event)
        elif isinstance(event, yaml.CollectionStartEvent):
            values += 1
            open_.append((anchor, values - 1))
            if len(open_) > _MAX_DEPTH:
                raise _make_error(f"nested more than {_MAX_DEPTH} levels deep", event)
        elif isinstance(event, yaml.CollectionEndEvent):
            name, before = open_.pop()
            if name:
                sizes[name] = values - before
        if values > _MAX_VALUES:
            raise _make_error(f"more than {_MAX_VALUES:,} values", event)
    return events


def _make_error(problem: str, event: Any) -> yaml.YAMLError:
    return yaml.MarkedYAMLError(None, None, problem, event.start_mark)


def dump_yaml(tree: Any, *, is_compact: bool = False) -> str:
    """Return YAML that `parse_yaml`, and other parsers, read as this tree of plain types.

    Args:
        tree: what is written.
        is_compact: write sections and lists without any in them on one line.
    """
    text: str = yaml.dump(
        tree,
        Dumper=_RecipeDumper,
        sort_keys=False,
        allow_unicode=True,
        width=100,
        default_flow_style=None if is_compact else False,
    )
    return text


class RecipeLoader(yaml.SafeLoader):
    """A `yaml.SafeLoader` for recipes; see the module."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Replace merges (`<<`) by their keys: what is written beside goes first, then the first
        section that is merged. PyYAML's own order depends on its version."""
        own: list[tuple[Any, Any]] = []
        merged: list[tuple[Any, Any]] = []
        for key, value in node.value:
            if key.tag != _MERGE:
                own.append((key, value))
                continue
            for section in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                if not isinstance(section, yaml.MappingNode):
                    text = "what is merged (<<) is not a section"
                    raise yaml.constructor.ConstructorError(None, None, text, section.start_mark)
                self.flatten_mapping(section)
                merged += section.value
        names = {_get_key(key) for key, _ in own}
        first = {_get_key(key): (key, value) for key, value in reversed(merged)}
        node.value = [*(first[name] for name in reversed(first) if name not in names), *own]


class EventLoader(RecipeLoader):
    """A loader of what was scanned before, see `check_bounds`."""

    def __init__(self, events: Iterable[yaml.events.Event]) -> None:
        super().__init__("")
        iterator = iter(events)
        self.state = lambda: next(iterator, None)  # PyYAML calls it for the next event


class _RecipeDumper(yaml.SafeDumper):
    """A `yaml.SafeDumper` that quotes what either YAML 1.1 or a recipe reads as no text."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """Represent a text; a line break that is none of ASCII would be read back as a space."""
    style = '"' if any(character in text for character in "\x85\u2028\u2029") else None
    return dumper.represent_scalar(f"{_TAG}str", text, style=style)


def _get_key(node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode):
        text = "a key must be a plain value"
        raise yaml.constructor.ConstructorError(None, None, text, node.start_mark)
    return str(node.value)


def _construct_mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys: dict[str, int] = {}
    for key_node, _ in node.value:
        name, mark = _get_key(key_node), key_node.start_mark
        if key_node.tag == _MERGE:
            continue
        if name in keys:
            text = f"key {name!r} is written twice, first in line {keys[name]}"
            raise yaml.constructor.ConstructorError(None, None, text, mark)
        keys[name] = mark.line + 1
    loader.flatten_mapping(node)
    for key_node, _ in node.value:
        key_node.tag = f"{_TAG}str"
    return loader.construct_mapping(node, deep=True)


def _find_literals(
    node: yaml.Node, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], yaml.ScalarNode]]:
    """Find the scalars at and below a node that are at a place of `LITERALS`, with their paths."""
    depth = len(path)
    patterns = [p for p in LITERALS if all(a in ("*", b) for a, b in zip(p, path, strict=False))]
    if any(len(pattern) <= depth for pattern in patterns):
        if isinstance(node, yaml.ScalarNode):
            yield path, node
        return
    if isinstance(node, yaml.MappingNode):
        entries = [(str(key.value), value) for key, value in node.value]
    elif isinstance(node, yaml.SequenceNode):
        entries = [(str(index), value) for index, value in enumerate(node.value)]
    else:
        return
    for name, value in entries:
        if any(pattern[depth] in ("*", name) for pattern in patterns):
            yield from _find_literals(value, (*path, name))


def _keep_as_written(node: yaml.ScalarNode, *, with_booleans: bool) -> None:
    """Make a plain scalar a text where its value would be written in another way."""
    if node.style is not None:
        return
    if node.tag == f"{_TAG}int":
        kept = node.value == str(int(node.value.replace("_", "")))
    elif node.tag == f"{_TAG}float":
        value = node.value.replace("_", "").lower()
        kept = not value.endswith(("inf", "nan")) and node.value == repr(float(value))
    elif node.tag == f"{_TAG}bool" and with_booleans:
        kept = node.value in ("true", "false")
    else:
        kept = True
    if not kept:
        node.tag = f"{_TAG}str"


RecipeLoader.yaml_implicit_resolvers = {}
_RecipeDumper.yaml_implicit_resolvers = {
    first: list(resolvers) for first, resolvers in yaml.SafeDumper.yaml_implicit_resolvers.items()
}
for _name, _pattern, _first in _RESOLVERS:
    for _class in (RecipeLoader, _RecipeDumper):
        _class.add_implicit_resolver(
            f"{_TAG}{_name}",
            re.compile(rf"^(?:{_pattern})$"),
            ["" if c == "\0" else c for c in _first],
        )
_RecipeDumper.add_representer(str, _represent_text)
RecipeLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _construct_mapping)
