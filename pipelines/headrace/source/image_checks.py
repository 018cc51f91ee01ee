"""Check that raw columns of image features hold images: files of one size, or lists of pixels."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.features.kinds import get_form
from headrace.recipe import Recipe
from headrace.schema import ColumnType
from headrace.source.internal_columns import col
from headrace.source.raw_schema import RawSchema

if TYPE_CHECKING:
    from pyspark.sql import Column


@dataclass(frozen=True)
class ImageColumn:
    """A raw column that has to hold images.

    Attributes:
        feature: that reads it.
        column: its name.
        shape: height, width, channels.
    """

    feature: str
    column: str
    shape: tuple[int, ...]


def find_image_columns(recipe: Recipe) -> "list[ImageColumn]":
    """Return the raw columns of the recipe's image features."""
    return [
        ImageColumn(name, feature.list_source_columns(name)[0], feature.shape)
        for name, feature in recipe.features.items()
        if get_form(feature) == "image"
    ]


def build_image_conditions(
    schema: RawSchema, images: Sequence[ImageColumn]
) -> "list[tuple[str, Column, Column]]":
    """Build the conditions of images.

    Args:
        schema: of the rows.
        images: columns of images.

    Returns:
        of each column the name of its check, whether a row violates it, and why.
    """
    import pyspark.sql.functions as F

    conditions = []
    for image in images:
        name, column, shape = image.feature, image.column, image.shape
        if schema.types[column] is ColumnType.BINARY:
            problem = _build_image_check(shape)(col(column))
            violated = problem.isNotNull()
            reason = F.concat(F.lit(f"{column}: "), problem)
        else:
            size = shape[0] * shape[1] * shape[2]
            pixels = col(column)
            bad = F.size(pixels) != size
            # No lambda, see `types.has_lost_elements`: a list with a null is not known to lack -1.
            bad = bad | F.array_contains(pixels, F.lit(-1)).isNull()
            bad = bad | (F.array_min(pixels) < 0) | (F.array_max(pixels) > 255)
            violated = F.coalesce(bad, F.lit(False))
            reason = F.lit(f"{column}: not a list of {size} whole numbers from 0 to 255")
        conditions.append((f"features.{name}", violated, reason))
    return conditions


def _build_image_check(shape: tuple[int, ...]) -> "Callable[[Column], Column]":
    """Return a function of Spark that says what is wrong with files of images; null if nothing."""
    import pandas as pd
    from pyspark.sql.pandas.functions import pandas_udf

    def find_problems(files):  # type: ignore[no-untyped-def]
        from headrace.features.image import find_image_problem

        return pd.Series([find_image_problem(file, shape) for file in files], dtype=object)

    find_problems.__annotations__ = {"files": pd.Series, "return": pd.Series}
    return pandas_udf("string")(find_problems)  # type: ignore[call-overload]
