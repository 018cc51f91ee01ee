"""Tell recipes apart as trainings and studies do: by the values of sections, but for later keys."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from headrace.recipe_section import Section

_LATER = "later"


def declare_later_key(default: Any, **constraints: Any) -> Any:
    """Return the field of a key that recipes got after checkpoints and studies were identified.

    Where such a key has its default, the id of a training is what it was before there was the key.
    A key without this mark changes the ids of all trainings: those of before would begin anew.
    """
    return Field(default, json_schema_extra={_LATER: True}, **constraints)


def collect_identifying_values(value: Any) -> Any:
    """Return the plain values of a section, but for keys that are `later` and at their default."""
    if isinstance(value, Section):
        plain = value.model_dump(mode="json")
        return {
            name: collect_identifying_values(item) if _has_sections(item) else plain[name]
            for name, item in value
            if not _is_idle(type(value), name, item)
        }
    if isinstance(value, Mapping):
        return {key: collect_identifying_values(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [collect_identifying_values(item) for item in value]
    return value


def _has_sections(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_has_sections, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_has_sections, value))
    return isinstance(value, Section)


def _is_idle(section: type[Section], name: str, value: Any) -> bool:
    field = section.model_fields[name]
    extra = field.json_schema_extra
    marked = isinstance(extra, dict) and bool(extra.get(_LATER))
    return marked and value == field.get_default(call_default_factory=True)
