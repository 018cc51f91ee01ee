"""Names for raw columns of any name: of features and derived columns, of recipes, and in SQL."""

import re
import unicodedata
from collections.abc import Iterable

from headrace.recipe.model_requirements import TAKEN_INPUTS

_TAKEN = TAKEN_INPUTS | {"split"}
# Columns that a feature makes beside its own.
_BESIDE = ("_missing", "_sin", "_cos")
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
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


class Names:
    """Gives every feature and derived column a name that a recipe takes, each once."""

    def __init__(self, columns: Iterable[str]) -> None:
        """
        Args:
            columns: raw columns; a derived column never gets the name of one.
        """
        self._raw = {name.lower() for name in columns}
        self._given = set(_TAKEN)

    def feature(self, column: str, part: str = "") -> str:
        """Of a feature of a raw column, or of a part of it that was derived: the column's own name
        where that is possible."""
        wanted = f"{identifier(column)}_{part}" if part else identifier(column)
        name, number = wanted, 2
        while self._clashes(name, column if not part else ""):
            name, number = f"{wanted}_{number}", number + 1
        self._given |= {name.lower(), *(f"{name.lower()}{end}" for end in _BESIDE)}
        return name

    def _clashes(self, name: str, column: str) -> bool:
        low = name.lower()
        if low in self._given or any(f"{low}{end}" in self._given for end in _BESIDE):
            return True
        return low in self._raw and name != column


def identifier(text: str) -> str:
    """Letters, digits and _ alone, beginning with no digit: `Größe (cm)` -> `Grosse_cm`."""
    if _PLAIN.fullmatch(text):
        return text
    apart = unicodedata.normalize("NFKD", text.replace("ß", "ss"))
    letters = "".join(c for c in apart if not unicodedata.combining(c))
    plain = re.sub(r"[^A-Za-z0-9_]+", "_", letters).strip("_")
    if not plain:
        return "column"
    return f"column_{plain}" if plain[0].isdigit() else plain


def recipe_name(path: str) -> str:
    """A name for the table at a path: that of its folder or file, without what tells the format."""
    parts = [part for part in re.split(r"[/\\]", path) if part]
    plain = [part for part in parts if not set(part) & set("*?[{=")]
    last = plain[-1].lstrip(".") if plain else "table"
    name = identifier(last.partition(".")[0] or last)
    return name.replace("column", "table", 1) if name.startswith("column_") else name


def in_sql(column: str) -> str:
    """The column in a Spark SQL expression."""
    if _PLAIN.fullmatch(column) and column.lower() not in _SQL_WORDS:
        return column
    return "`" + column.replace("`", "``") + "`"


def sql_text(value: str) -> str:
    """A text in a Spark SQL expression."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def usable(column: str) -> bool:
    """Whether a recipe can name the column: `${` begins a variable, and nothing can be put in front
    of it."""
    return "${" not in column and bool(column)
