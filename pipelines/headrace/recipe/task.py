"""Say what a recipe has a model predict: the identity of its task, and how two tasks differ.

Two models are compared only where they predict the same thing. What that is, is said by the label's
section and by what its expression reads; the loss, the features and `label.standardize` are no part
of it. The split has an identity of its own: models of one task may be of different splits. What
a dataset adds to it (classes, types of keys) is left to `lake/task.py`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from headrace.recipe.sql_text import list_names, normalize_sql
from headrace.recipe.times import parse_time_to_micros

Values = dict[str, Any]
"""Key of the recipe, or of a dataset -> its value, as JSON has it."""
CLASSES = "classes of the train split"
"""The key of a label's classes."""
KEY_DEFINITION = "definition of keys"
"""The key of the definition by which a split key is hashed."""
_OF_DATASETS = frozenset({CLASSES, KEY_DEFINITION})  # a recipe by itself does not know them
_SHOWN_NAMES = 5
_SHOWN_CHARACTERS = 200


class Task(BaseModel):
    """The identity of a task, by parts; parts are equal where their values are."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    label: Values
    """What is predicted: kind, expression, classes, and how the columns that it reads arise."""
    weights: Values
    """The weight of each row; it is part of the task where rows are judged by their weights."""
    split: Values
    """Which rows are for training; of split.time with boundaries in microseconds."""
    rows: Values = {}
    """By what a row has its identity; empty where only the recipe is known."""

    def find_differences(self, other: "Task", parts: tuple[str, ...]) -> list[str]:
        """Describe what differs from another task, in words; empty where nothing does.

        Args:
            other: the task of the other model; what only a dataset knows is compared where both
                have it.
            parts: names of attributes.
        """
        return [
            text
            for part in parts
            for text in describe_differences(getattr(self, part), getattr(other, part))
        ]

    @property
    def is_split_by_definition(self) -> bool:
        """Return whether equal `split` values mean equal splits of every row.

        They do not where a boundary is relative to the rows of a build.
        """
        return not any(isinstance(self.split.get(key), str) for key in BOUNDARIES)


BOUNDARIES = ("split.time.validation_from", "split.time.test_from")


def describe_task(recipe: Mapping[str, Any]) -> Task:
    """Return the task of a recipe.

    Args:
        recipe: resolved, as plain values: of today, or as an older Headrace recorded it.

    Raises:
        KeyError, TypeError, AttributeError: it is no recipe.
    """
    label = recipe["label"]
    is_case_sensitive = _is_case_sensitive(recipe)

    def normalize(text: str | None) -> str | None:
        return None if text is None else normalize_sql(text, case_sensitive=is_case_sensitive)

    return Task(
        label={
            "label.kind": label.get("kind", "binary"),
            "label.expression": normalize(label["expression"]),
            **_describe_sources(recipe, label["expression"]),
        },
        weights={
            "label.sample_weight": normalize(label.get("sample_weight")),
            "label.class_weight": label.get("class_weight"),
        },
        split=_describe_split(recipe),
    )


def describe_differences(before: Values, now: Values) -> list[str]:
    """Describe how values differ, a text for each: which key, and both values."""
    texts = []
    for key in dict.fromkeys([*before, *now]):
        if key not in before or key not in now:
            if key in _OF_DATASETS:
                continue
        elif before[key] == now[key]:
            continue
        if key == CLASSES:
            texts.append(_describe_classes(before[key], now[key]))
        else:
            was, is_ = (_format_value(values.get(key)) for values in (before, now))
            texts.append(f"{key}: {was} and {is_}")
    return texts


def list_differences(path: str, before: Any, now: Any) -> list[str]:
    """Describe where two trees of plain values differ, the deepest keys, with both values."""
    if before == now:
        return []
    if isinstance(before, dict) and isinstance(now, dict):
        inner = [
            list_differences(f"{path}.{key}", before.get(key), now.get(key))
            for key in dict.fromkeys([*before, *now])
        ]
        return [text for texts in inner for text in texts]
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        pairs = enumerate(zip(before, now, strict=True))
        return [text for i, pair in pairs for text in list_differences(f"{path}.{i}", *pair)]
    return [f"{path}: {_format_value(before)} and {_format_value(now)}"]


def _describe_sources(recipe: Mapping[str, Any], expression: str) -> Values:
    """Return how the columns that an expression may read come about, as far as a recipe says."""
    names = list_names(expression)
    return dict(
        [
            *_describe_types(recipe, names),
            *_describe_joined_columns(recipe, names),
            *_describe_targets(recipe, names),
            *_describe_nulling_rules(recipe, names),
        ]
    )


def _describe_types(
    recipe: Mapping[str, Any], names: frozenset[str]
) -> Iterator[tuple[str, object]]:
    """Yield the declared types of columns of the main table: a cast may change a value."""
    source = recipe["source"]
    declared = source["tables"][source["main"]].get("columns", {})
    for column, kind in declared.items():
        if column.lower() in names:
            yield f"declared type of {column}", kind


def _describe_joined_columns(
    recipe: Mapping[str, Any], names: frozenset[str]
) -> Iterator[tuple[str, object]]:
    """Yield the lookups that columns are from."""
    source = recipe["source"]
    for join in source.get("joins", []):
        table = source["tables"][join["table"]]
        for name, column in join["columns"].items():
            if name.lower() in names:
                yield (
                    f"lookup of {name}",
                    {
                        "table": join["table"],
                        "key": join["key"],
                        "column": column,
                        "type": table.get("columns", {}).get(column),
                        "where": table.get("where"),
                    },
                )


def _describe_targets(
    recipe: Mapping[str, Any], names: frozenset[str]
) -> Iterator[tuple[str, object]]:
    """Yield the windows' targets and lists that are read: values of other steps of time."""
    windows = recipe["source"].get("windows")
    if not windows:
        return
    for part, length in (("targets", "ahead"), ("columns", "past")):
        for name, column in windows.get(part, {}).items():
            if name.lower() in names:
                fixed = {key: windows[key] for key in ("key", "order", "step", length)}
                yield f"window of {name}", {"column": column, **fixed}


def _describe_nulling_rules(
    recipe: Mapping[str, Any], names: frozenset[str]
) -> Iterator[tuple[str, object]]:
    """Yield the rules that make null of values that are read."""
    for rule in recipe.get("clean", {}).get("rules", []):
        if rule.get("on_violation") != "null":
            continue
        columns = [rule["column"]] if rule.get("column") else rule.get("columns", [])
        read = [column for column in columns if column.lower() in names]
        settings = {
            key: value
            for key, value in rule.items()
            if key not in ("name", "max_fraction", "columns", "on_violation")
        }
        for column in read:
            yield f"rule {rule['kind']} that makes {column} null", settings


def _describe_split(recipe: Mapping[str, Any]) -> Values:
    split = recipe["split"]
    time = split.get("time")
    if not time:
        return {
            "split.key": split.get("key"),
            "split.seed": split.get("seed", 0),
            "split.fractions": split.get("fractions"),
        }
    windows = recipe["source"].get("windows")
    boundaries = {key: _describe_boundary(time, key) for key in BOUNDARIES}
    reach = {key: windows[key] for key in ("step", "past", "ahead")} if windows else None
    return {
        "split.time.column": time["column"],
        **boundaries,
        **({"source.windows": reach} if reach else {}),
    }


def _describe_boundary(time: Mapping[str, Any], key: str) -> int | str:
    """Return microseconds of an absolute time; a text where it follows from the rows of a build."""
    name = key.rpartition(".")[2]
    text = time.get(name)
    if text is None:
        share = name.removesuffix("_from")
        return f"the newest {time.get(share)} of rows are {share}"
    try:
        return parse_time_to_micros(text)
    except (TypeError, ValueError):
        return str(text)


def _is_case_sensitive(recipe: Mapping[str, Any]) -> bool:
    conf = (recipe.get("spark") or {}).get("conf") or {}
    return str(conf.get("spark.sql.caseSensitive", "true")).lower() == "true"


def _describe_classes(before: list[str], now: list[str]) -> str:
    added = [name for name in now if name not in before]
    removed = [name for name in before if name not in now]
    changes = (("new", added), ("gone", removed))
    parts = [f"{word} {_format_names(names)}" for word, names in changes if names]
    counts = f"{len(before):,} and {len(now):,}"
    return f"{CLASSES}: {counts}, {'; '.join(parts) or 'in another order'}"


def _format_names(names: list[str]) -> str:
    shown = ", ".join(map(repr, names[:_SHOWN_NAMES]))
    return shown + (f" and {len(names) - _SHOWN_NAMES:,} more" if len(names) > _SHOWN_NAMES else "")


def _format_value(value: Any) -> str:
    text = "none" if value is None else repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
