"""Name the two sides of a condition, so that reports say `late` and `not late`, not 1 and 0."""

import re
from collections.abc import Sequence

from headrace.labels.spec import LabelSpec

_NAME = r"`?([A-Za-z_][\w.]*)`?"
_IS_TRUE = re.compile(rf"^{_NAME}(?:\s*(?:=|==|IS)\s*(?:1|true))?$", re.IGNORECASE)
_IS_TEXT = re.compile(rf"^{_NAME}\s*==?\s*'([^']*)'$")
_COMPARES = re.compile(r"^([^<>=!]+?)\s*(>=|<=|>|<)\s*([^<>=!]+)$")
_OPPOSITES = {">": "≤", ">=": "<", "<": "≥", "<=": ">"}
_SHOWN = {">=": "≥", "<=": "≤"}
_LONGEST = 60  # characters of a condition that is a name by itself


def name_label_classes(label: LabelSpec, expression: str) -> tuple[str, ...]:
    """Return the names of the classes of a label in the order of their positions.

    Args:
        label: what labels mean.
        expression: of the recipe, from which a condition has its names.

    Returns:
        of a condition, and of each label of several, the names of 0 and of 1; of classes their own;
        none of numbers.
    """
    if label.kind == "multi_label":
        return ("without the label", "with the label")
    if not label.has_threshold:
        return label.classes
    return name_condition(expression)


def name_condition(expression: str) -> tuple[str, str]:
    """Return the names of what does not meet a condition, and of what does."""
    text = " ".join(expression.split())
    while text.startswith("(") and text.endswith(")") and _is_pair(text):
        text = text[1:-1].strip()
    if match := _IS_TRUE.match(text):
        name = match.group(1).rpartition(".")[2]
        return f"not {name}", name
    if (match := _IS_TEXT.match(text)) and match.group(2).strip():
        return f"not {match.group(2)}", match.group(2)
    is_simple = not re.search(r"\b(and|or|not|case|between|in|is)\b", text, re.IGNORECASE)
    if (match := _COMPARES.match(text)) and is_simple and len(text) <= _LONGEST:
        left, sign, right = match.groups()
        return f"{left} {_OPPOSITES[sign]} {right}", f"{left} {_SHOWN.get(sign, sign)} {right}"
    if text and len(text) <= _LONGEST:
        return f"not ({text})", text
    return "condition not met", "condition met"


def describe_class(names: Sequence[str], position: int) -> str:
    """Return the name of a class; its position where it has none."""
    return names[position] if 0 <= position < len(names) else str(position)


def _is_pair(text: str) -> bool:
    """Return whether the first parenthesis is closed by the last one."""
    depth = 0
    for position, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth == 0:
            return position == len(text) - 1
    return False
