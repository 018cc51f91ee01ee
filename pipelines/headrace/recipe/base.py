"""What every section of a recipe has in common."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Text = Annotated[str, Field(min_length=1)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class Section(BaseModel):
    """Base of every section: immutable, strict about types, closed to unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


_LATER = "later"


def later(default: Any, **constraints: Any) -> Any:
    """Return the field of a key that recipes got after checkpoints and studies were identified.

    Where such a key has its default, the id of a training is what it was before there was the key.
    A key without this mark changes the ids of all trainings: those of before would begin anew.
    """
    return Field(default, json_schema_extra={_LATER: True}, **constraints)


def identifying(value: Any) -> Any:
    """Return the plain values of a section, but for keys that are `later` and at their default."""
    if isinstance(value, Section):
        plain = value.model_dump(mode="json")
        return {
            name: identifying(item) if _has_sections(item) else plain[name]
            for name, item in value
            if not _is_idle(type(value), name, item)
        }
    if isinstance(value, Mapping):
        return {key: identifying(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [identifying(item) for item in value]
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
