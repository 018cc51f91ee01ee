"""Make valid names of any raw columns: of features, derived columns and recipes, and in SQL."""

import re
import unicodedata
from collections.abc import Iterable

from headrace.columns.dataset_columns import RESERVED_NAMES
from headrace.recipe.model_requirements import TAKEN_INPUTS

_RESERVED = TAKEN_INPUTS | RESERVED_NAMES
# Suffixes of the columns that a feature makes beside its own.
_SIDE_COLUMNS = ("_missing", "_sin", "_cos")
_PLAIN_PATTERN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Words that begin something else than a column in a Spark SQL expression.
_SQL_WORDS = frozenset({
    "all", "and", "anti", "any", "array", "as", "asc", "between", "both", "by", "case", "cast",
    "collate", "cross", "current_date", "current_time", "current_timestamp", "current_user",
    "date", "day_time_interval", "desc", "distinct", "div", "else", "end", "escape", "exists",
    "explode", "extract", "false", "filter", "first", "for", "from", "full", "group", "having",
    "if", "in", "inner", "interval", "intersect", "into", "is", "join", "last", "lateral",
    "leading", "left", "like", "limit", "map", "minus", "natural", "not", "null", "on", "only",
    "or", "order", "outer", "overlaps", "position", "right", "select", "semi", "session_user",
    "some", "struct", "substr", "substring", "table", "then", "time", "timestamp", "timestamp_ltz",
    "timestamp_ntz", "trailing", "trim", "true", "union", "unique", "unknown", "user", "using",
    "values", "when", "where", "window", "with", "within",
})  # fmt: skip


class FeatureNames:
    """The names of features and derived columns: valid in a recipe, and each given once."""

    def __init__(self, columns: Iterable[str]) -> None:
        """Reserve the names of the raw columns.

        Args:
            columns: raw columns; a derived column never gets the name of one.
        """
        self._raw_columns = {name.lower() for name in columns}
        self._taken = set(_RESERVED)

    def name_feature(self, column: str, part: str = "") -> str:
        """Return a new name for a feature: the raw column's own name where that is possible.

        Args:
            column: the raw column.
            part: the part of it that the feature is derived from; empty for the column itself.
        """
        stem = f"{make_identifier(column)}_{part}" if part else make_identifier(column)
        name, number = stem, 2
        while self._is_taken(name, column if not part else ""):
            name, number = f"{stem}_{number}", number + 1
        self._taken |= {name.lower(), *(f"{name.lower()}{suffix}" for suffix in _SIDE_COLUMNS)}
        return name

    def _is_taken(self, name: str, column: str) -> bool:
        low = name.lower()
        if low in self._taken or any(f"{low}{suffix}" in self._taken for suffix in _SIDE_COLUMNS):
            return True
        return low in self._raw_columns and name != column


def make_identifier(text: str) -> str:
    """Return the text with letters, digits and _ only, and no digit first.

    >>> make_identifier("Größe (cm)")
    'Grosse_cm'
    """
    if _PLAIN_PATTERN.fullmatch(text):
        return text
    decomposed = unicodedata.normalize("NFKD", text.replace("ß", "ss"))
    letters = "".join(c for c in decomposed if not unicodedata.combining(c))
    plain = re.sub(r"[^A-Za-z0-9_]+", "_", letters).strip("_")
    if not plain:
        return "column"
    return f"column_{plain}" if plain[0].isdigit() else plain


def split_words(name: str) -> list[str]:
    """Return the words of a column's name, in small letters.

    >>> split_words("customerID created_at")
    ['customer', 'id', 'created', 'at']
    """
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", name)
    return [word.lower() for word in re.split(r"[\W_]+", spaced) if word]


def derive_recipe_name(path: str) -> str:
    """Return a recipe's name for the table at a path: its folder's or file's, without suffixes."""
    parts = [part for part in re.split(r"[/\\]", path) if part]
    plain = [part for part in parts if not set(part) & set("*?[{=")]
    last = plain[-1].lstrip(".") if plain else "table"
    name = make_identifier(last.partition(".")[0] or last)
    return name.replace("column", "table", 1) if name.startswith("column_") else name


def quote_sql_column(column: str) -> str:
    """Return the column as a Spark SQL expression names it, in backticks where it needs them."""
    if _PLAIN_PATTERN.fullmatch(column) and column.lower() not in _SQL_WORDS:
        return column
    return "`" + column.replace("`", "``") + "`"


def quote_sql_text(value: str) -> str:
    """Return the text as a literal of a Spark SQL expression."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def is_nameable(column: str) -> bool:
    """Return whether a recipe can name the column: `${` begins a variable and has no escape."""
    return "${" not in column and bool(column)
