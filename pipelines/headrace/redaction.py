"""Keep secrets out of logs, errors and MLflow: one rule, used wherever a recipe value is shown."""

import re
from typing import Any

MASK = "***"
_SECRET_KEY = re.compile(
    r"secret|password|passwd|pwd|token|credential|(access|account|api|private)[._-]?key"
    r"|(^|[._-])sas([._-]|$)",
    re.IGNORECASE,
)
# Sections whose keys and values are columns and expressions.
_OF_COLUMNS = ("source", "clean", "label", "split", "unavailable", "derive", "features")
_URI_USERINFO = re.compile(r"(?<=://)[^/\s]+(?=@)")


def redact_text(text: str) -> str:
    """`text` with the user information of every URI in it masked.

    >>> redact_text("postgresql://me:pw@db/mlflow")
    'postgresql://***@db/mlflow'
    """
    return _URI_USERINFO.sub(MASK, text)


def redact_recipe(resolved: dict[str, Any]) -> dict[str, Any]:
    """A resolved recipe with secrets masked, and nothing that rows depend on.

    A column may be called `api_key`: what a recipe says of columns is no secret. Options of readers
    and settings of services are masked by their keys.
    """
    masked: dict[str, Any] = redact(resolved)
    return {
        section: _with_columns(value) if section in _OF_COLUMNS else masked[section]
        for section, value in resolved.items()
    }


def _with_columns(value: Any, key: str = "") -> Any:
    if key == "options":
        return redact(value)
    if isinstance(value, dict):
        return {k: _with_columns(v, str(k)) for k, v in value.items()}
    if isinstance(value, list):
        return [_with_columns(item) for item in value]
    return redact_text(value) if isinstance(value, str) else value


def redact(value: Any, key: str = "") -> Any:
    """`value` (plain YAML types) with secrets masked: by key name, and user information in URIs."""
    if isinstance(value, dict):
        return {k: redact(v, str(k)) for k, v in value.items()}
    if isinstance(value, list):
        return [redact(item, key) for item in value]
    if _SECRET_KEY.search(key) and value is not None:
        return MASK
    return redact_text(value) if isinstance(value, str) else value
