"""Cast the columns of rows to their declared types, and note which rows lost a value by that."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.recipe import Recipe
from headrace.schema import ColumnType
from headrace.source.internal_columns import MALFORMED
from headrace.source.local.casts import cast_texts, describe_lost_texts
from headrace.source.rules import Check
from headrace.source.tables import TableColumns


@dataclass(frozen=True)
class CheckedColumns:
    """Columns of some rows, cast.

    Attributes:
        columns: column -> values.
        lost: of each check, whether a row violates it; bool of shape (rows,).
        reasons: of each check, why it does; null where it does not.
    """

    columns: dict[str, pa.Array]
    lost: list[np.ndarray]
    reasons: list[pa.Array]


@dataclass(frozen=True)
class ContractChecks:
    """The casts of a table, and the checks that no value is lost; sent to every task.

    Attributes:
        casts: columns whose texts are cast, in the order of their checks -> declared type.
        reads_lines: whether rows are lines, which may be none.
        widened: columns whose whole numbers are cast to reals.
    """

    casts: Mapping[str, str]
    reads_lines: bool
    widened: tuple[str, ...]

    @staticmethod
    def from_table(recipe: Recipe, table: TableColumns) -> "ContractChecks":
        """Return the checks of the main table, as `source.rules` makes them of its casts."""
        widened = (
            name
            for name, declared in recipe.source.tables[table.name].columns.items()
            if declared == "real" and table.stored.types.get(name) == ColumnType.INTEGER
        )
        return ContractChecks(dict(table.casts), MALFORMED in table.schema.names, tuple(widened))

    def list_checks(self) -> tuple[Check, ...]:
        """Return the checks, in the order of `CheckedColumns.lost`."""
        names = ["malformed"] if self.reads_lines else []
        names += [f"{name} is {declared}" for name, declared in self.casts.items()]
        return tuple(Check(name, "quarantine") for name in names)

    def check_rows(self, read: Mapping[str, pa.Array], rows: int) -> CheckedColumns:
        """Cast and check some rows.

        Args:
            read: columns as they are stored, with all that are cast; of widened ones, those that
                are read.
            rows: their number.

        Raises:
            NeedsSparkError: a value is among those of which only Spark knows what they are.
        """
        columns, lost, reasons = dict(read), list[np.ndarray](), list[pa.Array]()
        for name in self.widened:
            if name in columns:
                columns[name] = pc.cast(read[name], pa.float64(), safe=False)
        if self.reads_lines:  # a table with a line that is no row is left to Spark
            lost.append(np.zeros(rows, bool))
            reasons.append(pa.nulls(rows, pa.string()))
        for name, declared in self.casts.items():
            columns[name] = cast_texts(read[name], declared, name)
            is_lost = pc.and_(read[name].is_valid(), columns[name].is_null())
            lost.append(is_lost.to_numpy(zero_copy_only=False))
            reasons.append(describe_lost_texts(read[name], declared, name, lost[-1]))
        return CheckedColumns(columns, lost, reasons)
