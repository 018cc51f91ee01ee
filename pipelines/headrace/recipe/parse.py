"""Parse YAML to plain types: `yaml.safe_load` with three surprises of YAML 1.1 taken out.

A key written twice is an error, where YAML would silently keep the last; `1e-3` is a number, where
YAML 1.1 wants `1.0e-3`; and 2013-10-01 is a text, where YAML 1.1 makes a Python date.
"""

import re
from typing import Any

import yaml


def parse_yaml(text: str) -> Any:
    """Parse `text`; only plain types come out.

    Raises:
        yaml.YAMLError: the text is not YAML, or a key is written twice.
    """
    return yaml.load(text, Loader=_RecipeLoader)  # noqa: S506 (a SafeLoader)


class _RecipeLoader(yaml.SafeLoader):
    """A `yaml.SafeLoader` for recipes; see the module."""


def _construct_mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    loader.flatten_mapping(node)
    keys: set[Any] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str | int | float | bool) and key is not None:
            raise yaml.constructor.ConstructorError(
                None, None, "a key must be a plain value", key_node.start_mark
            )
        if key in keys:
            raise yaml.constructor.ConstructorError(
                None, None, f"key {key!r} is written twice", key_node.start_mark
            )
        keys.add(key)
    return loader.construct_mapping(node, deep=True)


_RecipeLoader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_RecipeLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _construct_mapping)
_RecipeLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)
