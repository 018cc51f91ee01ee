"""Tell the line of each key of a recipe, so that a problem is named by where it is written.

A key that is merged (`<<`) or part of an alias is on the line where it is written; what `--set`
sets is on none.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

from headrace.errors import Problem
from headrace.recipe.overrides import read_override_key
from headrace.recipe.parse import EventLoader, check_bounds

_MERGE = "tag:yaml.org,2002:merge"


@dataclass(frozen=True)
class KeyLines:
    """The lines of a recipe's keys.

    Attributes:
        by_key: dotted key, or position in a list -> line of the file, from 1.
        overridden: dotted keys that the command line set.
    """

    by_key: Mapping[str, int] = field(default_factory=dict)
    overridden: frozenset[str] = frozenset()

    def with_overrides(self, overrides: Iterable[str]) -> "KeyLines":
        """Return the lines where `--set` sets keys; `overrides` are as it takes them."""
        keys = frozenset(read_override_key(override) for override in overrides)
        return replace(self, overridden=self.overridden | keys)

    def find_line(self, key: str) -> int | None:
        """Return the line of a key, or of the section that it would be in.

        Args:
            key: dotted, for example `train.epochs` or `clean.rules.0.values.2`.

        Returns:
            None where the command line set it, and for what is in no section.
        """
        parts = key.split(".")
        sections = [".".join(parts[:count]) for count in range(len(parts), 0, -1)]
        if not self.overridden.isdisjoint(sections):
            return None
        return next((self.by_key[name] for name in sections if name in self.by_key), None)

    def locate(self, problems: Iterable[Problem]) -> list[Problem]:
        """Return problems with their lines; one that has a line keeps it."""
        return [
            problem if problem.line else replace(problem, line=self.find_line(problem.where))
            for problem in problems
        ]


def find_lines(text: str) -> dict[str, int]:
    """Return the line, from 1, of every key and every item of a list, by its dotted key.

    Args:
        text: of a recipe that `parse_yaml` reads: it has bounded what aliases stand for.
    """
    return find_event_lines(check_bounds(text))


def find_event_lines(events: Iterable[yaml.events.Event]) -> dict[str, int]:
    """Return the lines of what `check_bounds` has scanned; see `find_lines`."""
    loader = _LineLoader(events)
    try:
        root = loader.get_single_node()
    finally:
        loader.dispose()
    found = _walk(root, "", loader.alias_lines) if root is not None else iter(())
    return dict(found)


class _LineLoader(EventLoader):
    """A loader that remembers where an alias stands: its node is where the anchor is."""

    def __init__(self, events: Iterable[yaml.events.Event]) -> None:
        super().__init__(events)
        self.alias_lines: dict[tuple[int, int], int] = {}
        """Sequence's id and position in it -> line."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if isinstance(parent, yaml.SequenceNode) and self.check_event(yaml.AliasEvent):
            line = self.peek_event().start_mark.line + 1  # type: ignore[no-untyped-call]
            self.alias_lines[id(parent), index] = line
        return super().compose_node(parent, index)


def _walk(
    node: yaml.Node, path: str, alias_lines: Mapping[tuple[int, int], int]
) -> Iterator[tuple[str, int]]:
    """Yield every key below a node with its line; of a key that is there twice, the last counts."""
    if isinstance(node, yaml.MappingNode):
        own = [(key, value) for key, value in node.value if key.tag != _MERGE]
        for key, value in reversed(node.value):
            if key.tag == _MERGE:
                merged = value.value if isinstance(value, yaml.SequenceNode) else [value]
                for section in reversed(merged):  # the first one counts
                    yield from _walk(section, path, alias_lines)
        for key, value in own:
            name = f"{path}.{key.value}" if path else str(key.value)
            yield name, key.start_mark.line + 1
            yield from _walk(value, name, alias_lines)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            name = f"{path}.{index}" if path else str(index)
            yield name, alias_lines.get((id(node), index), item.start_mark.line + 1)
            yield from _walk(item, name, alias_lines)
