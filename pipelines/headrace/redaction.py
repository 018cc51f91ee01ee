"""Mask secrets in logs, errors and MLflow: one rule for every place that shows a recipe's value."""

import re
from typing import Any

MASK = "***"
_SECRET_KEY = re.compile(
    r"secret|password|passwd|pwd|token|credential|(access|account|api|private)[._-]?key"
    r"|(^|[._-])sas([._-]|$)",
    re.IGNORECASE,
)
# Sections of a recipe whose keys and values are columns and expressions.
_COLUMN_SECTIONS = ("source", "clean", "label", "split", "unavailable", "derive", "features")
_URI_USERINFO = re.compile(r"(?<=://)[^/\s]+(?=@)")


def redact_text(text: str) -> str:
    """Return `text` with the user information of every URI in it masked.

    >>> redact_text("postgresql://me:pw@db/mlflow")
    'postgresql://***@db/mlflow'
    """
    return _URI_USERINFO.sub(MASK, text)


def redact_recipe(resolved: dict[str, Any]) -> dict[str, Any]:
    """Return a resolved recipe with secrets masked, and nothing that rows depend on.

    A column may be called `api_key`: names of columns and expressions are no secrets. Options of
    readers and settings of services are masked by their keys.
    """
    masked: dict[str, Any] = redact_value(resolved)
    return {
        section: _redact_columns(value) if section in _COLUMN_SECTIONS else masked[section]
        for section, value in resolved.items()
    }


def _redact_columns(value: Any, key: str = "") -> Any:
    if key == "options":
        return redact_value(value)
    if isinstance(value, dict):
        return {k: _redact_columns(v, str(k)) for k, v in value.items()}
    if isinstance(value, list):
        return [_redact_columns(item) for item in value]
    return redact_text(value) if isinstance(value, str) else value


def redact_value(value: Any, key: str = "") -> Any:
    """Return `value` (plain YAML types) with secrets masked, by key name, and in URIs."""
    if isinstance(value, dict):
        return {k: redact_value(v, str(k)) for k, v in value.items()}
    if isinstance(value, list):
        return [redact_value(item, key) for item in value]
    if _SECRET_KEY.search(key) and value is not None:
        return MASK
    return redact_text(value) if isinstance(value, str) else value
