"""Check that types of columns are as they were when the transform of a version was fitted."""

from collections.abc import Mapping

from headrace.columns.values import RawKind
from headrace.errors import LakeError
from headrace.lake.version import DatasetVersion
from headrace.recipe import Recipe
from headrace.schema import ColumnType
from headrace.source.raw_schema import RawSchema
from headrace.source.read import find_passthrough_kinds, find_unfitted
from headrace.transform.fit import Unfitted
from headrace.transform.spec import TransformSpec

_FIX = "Repair the source, declare the type in source.tables, or build anew with --refit"


def resolve_unfitted(recipe: Recipe, schema: RawSchema, spec: TransformSpec | None) -> Unfitted:
    """Return what is to be fitted, or was: then with the kinds of columns that it was fitted on.

    Args:
        recipe: its features.
        schema: of the rows.
        spec: the transform that rows are added to; None where it is fitted.

    Raises:
        LakeError: a column is of another kind now.
    """
    unfitted = find_unfitted(recipe, schema)
    if spec is None:
        return unfitted
    raw: dict[str, RawKind] = {column.name: column.kind for column in spec.raw}
    changed = [
        f"{name} is {kind}, it was {raw.get(name, 'not used')}"
        for name, kind in unfitted.raw.items()
        if kind != raw.get(name) and (kind, raw.get(name)) != ("integer", "real")
    ]
    if changed:
        raise LakeError(
            f"columns have other types than the transform was fitted on: {'; '.join(changed)}. "
            "Repair the source, or fit again with --refit"
        )
    return Unfitted(raw, unfitted.derive, unfitted.features, unfitted.label)


def resolve_passthrough(
    recipe: Recipe, schema: RawSchema, frozen: DatasetVersion | None
) -> dict[str, RawKind]:
    """Return the kinds of the columns of `dataset.keep`.

    Raises:
        LakeError: a column is of another kind than in the version that rows are added to.
    """
    kinds = find_passthrough_kinds(recipe, schema)
    _refuse_changed_types("of dataset.keep", kinds, frozen.build.kept if frozen else {}, _FIX)
    return kinds


def resolve_key_types(
    recipe: Recipe, schema: RawSchema, frozen: DatasetVersion | None
) -> dict[str, str]:
    """Return the types of the columns of keys: of another type, a key has another hash.

    Raises:
        LakeError: a column has another type than when the transform was fitted.
    """
    names = [*(recipe.clean.dedup.key if recipe.clean.dedup else ()), *(recipe.split.key or ())]
    types = {}
    for name in (n for n in names if n in schema.types):
        is_whole = schema.types[name] == ColumnType.INTEGER  # of any width, see `assign.py`
        types[name] = "integer" if is_whole else schema.sql_types[name]
    fix = f"Keys would no longer be those of published rows. {_FIX}"
    _refuse_changed_types(
        "of the dedup or split key", types, frozen.build.key_types if frozen else {}, fix
    )
    return types


def _refuse_changed_types(
    columns: str, types: Mapping[str, str], before: Mapping[str, str], fix: str
) -> None:
    changed = [f"{n} is {t}, it was {before[n]}" for n, t in types.items() if before.get(n, t) != t]
    if changed:
        raise LakeError(
            f"columns {columns} have other types than before: {'; '.join(changed)}. {fix}"
        )
