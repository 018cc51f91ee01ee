"""What has to be as it was when the transform was fitted, where rows are added to a version."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from headrace.errors import LakeError
from headrace.lake.version import DatasetVersion
from headrace.recipe import Recipe
from headrace.schema import ColumnType
from headrace.source.read import kept_kinds, unfitted_of
from headrace.source.types import column_types
from headrace.transform.fit import Unfitted
from headrace.transform.spec import RawKind, TransformSpec

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_ANEW = "Repair the source, declare the type in source.tables, or build anew with --refit"


def unfitted_as_before(recipe: Recipe, rows: "DataFrame", spec: TransformSpec | None) -> Unfitted:
    """What is to be fitted, or was: then with the kinds of columns that it was fitted on.

    Raises:
        LakeError: a column is of another kind now.
    """
    found = unfitted_of(recipe, rows)
    if spec is None:
        return found
    raw: dict[str, RawKind] = {column.name: column.kind for column in spec.raw}
    other = [
        f"{name} is {kind}, it was {raw.get(name, 'not used')}"
        for name, kind in found.raw.items()
        if kind != raw.get(name) and (kind, raw.get(name)) != ("integer", "real")
    ]
    if other:
        raise LakeError(
            f"columns have other types than the transform was fitted on: {'; '.join(other)}. "
            "Repair the source, or fit again with --refit"
        )
    return Unfitted(raw, found.derive, found.features, found.label)


def kept_as_before(
    recipe: Recipe, rows: "DataFrame", frozen: DatasetVersion | None
) -> dict[str, RawKind]:
    """Kinds of the columns of `dataset.keep`.

    Raises:
        LakeError: a column is of another kind than in the version that rows are added to.
    """
    found = kept_kinds(recipe, rows)
    _refuse_others("of dataset.keep", found, frozen.build.kept if frozen else {}, _ANEW)
    return found


def key_types_as_before(
    recipe: Recipe, rows: "DataFrame", frozen: DatasetVersion | None
) -> dict[str, str]:
    """Types of the columns that keys are made of: of another type, a key has another hash.

    Raises:
        LakeError: a column has another type than when the transform was fitted.
    """
    types = column_types(rows)
    names = [*(recipe.clean.dedup.key if recipe.clean.dedup else ()), *(recipe.split.key or ())]
    found = {}
    for name in (n for n in names if n in types):
        whole = types[name] == ColumnType.INTEGER  # of any width, see `tag.py`
        found[name] = "integer" if whole else rows.schema[name].dataType.simpleString()
    why = f"Keys would no longer be those of published rows. {_ANEW}"
    _refuse_others(
        "of the dedup or split key", found, frozen.build.key_types if frozen else {}, why
    )
    return found


def _refuse_others(
    what: str, found: Mapping[str, str], before: Mapping[str, str], fix: str
) -> None:
    other = [f"{n} is {t}, it was {before[n]}" for n, t in found.items() if before.get(n, t) != t]
    if other:
        raise LakeError(f"columns {what} have other types than before: {'; '.join(other)}. {fix}")
