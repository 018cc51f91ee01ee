"""Resolve the column types of transform, dataset.keep and keys; refuse those that changed since the
transform was fitted."""

from collections.abc import Mapping
from dataclasses import replace

from headrace.columns.dataset_columns import name_passthrough_column, name_raw_columns
from headrace.columns.values import RawKind
from headrace.errors import LakeError
from headrace.lake.build import StoredColumn
from headrace.lake.version import DatasetVersion
from headrace.recipe import Recipe
from headrace.schema import ColumnType
from headrace.source.raw_schema import RawSchema
from headrace.source.read import find_fit_inputs, find_passthrough_kinds, find_stored_types
from headrace.transform.fit import FitInputs
from headrace.transform.spec import TransformSpec

_FIX = "Repair the source, declare the type in source.tables, or build anew with --refit"


def resolve_fit_inputs(recipe: Recipe, schema: RawSchema, spec: TransformSpec | None) -> FitInputs:
    """Return what the transform is fitted on; for a reused one with the column kinds of its fit.

    Args:
        recipe: its features.
        schema: of the rows.
        spec: the transform that is reused; None where one is fitted.

    Raises:
        LakeError: a column is of another kind now.
    """
    fit_inputs = find_fit_inputs(recipe, schema)
    if spec is None:
        return fit_inputs
    raw: dict[str, RawKind] = {column.name: column.kind for column in spec.raw}
    changed = [
        f"{name} is {kind}, it was {raw.get(name, 'not used')}"
        for name, kind in fit_inputs.raw.items()
        if kind != raw.get(name) and (kind, raw.get(name)) != ("integer", "real")
    ]
    if changed:
        raise LakeError(
            f"columns have other types than the transform was fitted on: {'; '.join(changed)}. "
            "Repair the source, or fit again with --refit"
        )
    return replace(
        fit_inputs,
        raw=raw,
        rules=spec.rules,
        rule_columns={column.name: column.kind for column in spec.rule_columns},
        left_out=spec.left_out,
    )


def resolve_passthrough(
    recipe: Recipe, schema: RawSchema, reused_version: DatasetVersion | None
) -> dict[str, RawKind]:
    """Return the kinds of the columns of `dataset.keep`.

    Raises:
        LakeError: a column is of another kind than in the version that rows are added to.
    """
    kinds = find_passthrough_kinds(recipe, schema)
    _refuse_changed_types(
        "of dataset.keep", kinds, reused_version.build.kept if reused_version else {}, _FIX
    )
    return kinds


def resolve_stored_columns(
    recipe: Recipe,
    schema: RawSchema,
    kinds: Mapping[str, RawKind],
    retained_version: DatasetVersion | None,
) -> dict[str, StoredColumn]:
    """Return the raw columns whose values lie beside the rows that are judged.

    Args:
        recipe: its features, and `dataset.keep`.
        schema: of the rows.
        kinds: raw column -> kind that its values have where the transform reads them.
        retained_version: the version whose rows stay as they are, beside the new ones: then the
            columns are its columns. None where all rows are written.
    """
    if retained_version is not None:
        return retained_version.build.stored
    types = find_stored_types(recipe, schema)
    made = [
        column
        for name, feature in recipe.features.items()
        for column in feature.list_dataset_columns(name)
    ]
    kept = {name: name_passthrough_column(name) for name in recipe.dataset.keep}
    names = name_raw_columns((n for n in types if n not in kept), (*made, *kept.values()))
    # A transform that was fitted on real numbers reads whole ones as such.
    types |= {name: "real" for name in names if kinds.get(name) == "real"}
    return {
        name: StoredColumn(name=(kept | names)[name], type=kind) for name, kind in types.items()
    }


def resolve_key_types(
    recipe: Recipe, schema: RawSchema, reused_version: DatasetVersion | None
) -> dict[str, str]:
    """Return the types of key columns; a key column whose type changed would hash differently.

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
        "of the dedup or split key",
        types,
        reused_version.build.key_types if reused_version else {},
        fix,
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
