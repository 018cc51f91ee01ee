"""Assign rows to their buckets on Arrow columns, as `prepare/assign.py` does on Spark."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.columns.values import RawKind
from headrace.lake.time_boundaries import TimeBoundaries
from headrace.prepare.assign import (
    BASELINE_MISSING,
    CROSSING,
    LABEL_MISSING,
    TIME_MISSING,
    Buckets,
)
from headrace.prepare.local.hashes import digest_texts, hash_columns
from headrace.prepare.local.label import Expression, read_expressions
from headrace.prepare.split import KEY_SEPARATOR, MISSING_KEY, SPLIT_STEPS
from headrace.recipe import Recipe
from headrace.schema import ColumnType
from headrace.source.internal_columns import (
    BASELINE,
    BUCKET,
    FILE,
    KEY_DIGEST,
    LABEL,
    LATEST,
    POSITION,
    PROBLEMS,
    ROW_ID,
    TIE_BREAKER,
    WEIGHT,
    name_mask,
)
from headrace.source.local.casts import (
    concat_present,
    convert_to_kind,
    join_problems,
    make_hashable,
    write_key_texts,
)
from headrace.source.local.checks import ContractChecks
from headrace.source.local.needs_spark import NeedsSparkError
from headrace.source.rules import CHECKS_PER_MASK, Check
from headrace.source.tables import TableColumns

_KEY_TYPES = frozenset({ColumnType.INTEGER, ColumnType.STRING})
_SPLIT_KEY_TYPES = _KEY_TYPES | {ColumnType.REAL}
_LATEST_TYPES = _KEY_TYPES | {ColumnType.REAL, ColumnType.TIMESTAMP}


@dataclass(frozen=True)
class SplitRule:
    """What says the split of a row.

    Attributes:
        key: columns whose hash does; empty where a time does.
        seed: of the hash.
        train, validation: points of the hash from which on a row is no longer train, and no longer
            validation.
        last: position of the split of all others.
        time: the column that does; empty where a key does.
        boundaries: of the time.
    """

    key: tuple[str, ...]
    seed: int
    train: int
    validation: int
    last: int
    time: str = ""
    boundaries: TimeBoundaries | None = None

    def assign(self, columns: Mapping[str, pa.Array], rows: int, crossing: int) -> np.ndarray:
        """Return the int32 positions of the rows' splits; `crossing` where there is none."""
        if self.boundaries is not None:
            micros = pc.fill_null(convert_to_kind(columns[self.time], "timestamp"), 0).to_numpy()
            before, after = self.boundaries.validation_from, self.boundaries.test_from
            chosen = [micros < before, (micros >= before) & (micros < after), micros >= after]
            return np.select(chosen, [0, 1, 2], crossing).astype(np.int32)
        texts = [pc.fill_null(write_key_texts(columns[n], n), MISSING_KEY) for n in self.key]
        seed = pa.array([str(self.seed)] * rows, pa.string())
        joined = pc.binary_join_element_wise(seed, *texts, KEY_SEPARATOR)
        point = hash_columns([joined], rows) % np.int64(SPLIT_STEPS)
        split = np.where(point < self.train, 0, np.where(point < self.validation, 1, self.last))
        return split.astype(np.int32)


@dataclass(frozen=True)
class RowAssigner:
    """What gives rows their buckets and identities; sent to every task.

    Attributes:
        columns: that are read early -> type in Arrow, as they are stored.
        contract: casts of them, and their checks.
        checks: of every row, in the order of their bits.
        expressions: label, weight and baseline, as far as there are any.
        carried: raw columns that tasks do not read late -> kind.
        key: of dedup.
        latest_by: the column of which the largest value stays, and its kind.
        split: what says the split of a row.
        ties: columns beside the raw ones that break ties between equal keys.
    """

    columns: Mapping[str, pa.DataType]
    contract: ContractChecks
    checks: tuple[Check, ...]
    expressions: tuple[Expression, ...]
    carried: Mapping[str, RawKind]
    key: tuple[str, ...]
    latest_by: tuple[str, RawKind] | None
    split: SplitRule
    ties: tuple[str, ...]

    def list_names(self) -> list[str]:
        """Return the names of the columns that `assign_rows` returns, in their order."""
        present = {expression.name for expression in self.expressions}
        names = [*self.carried, FILE, POSITION]
        names += [name for name in (WEIGHT, BASELINE) if name in present]
        names += [KEY_DIGEST] if self.key else []
        names += [LATEST] if self.latest_by else []
        if self.checks:
            names += [*map(name_mask, range(-(-len(self.checks) // CHECKS_PER_MASK))), PROBLEMS]
        return [*names, LABEL, BUCKET, ROW_ID, TIE_BREAKER]

    def assign_rows(
        self, read: Mapping[str, pa.Array], file: int, first: int, rows: int
    ) -> pa.RecordBatch:
        """Assign rows that follow each other in a file.

        Args:
            read: `columns` of the rows, as they are stored.
            file: the FILE of the rows.
            first: position of the first of them in it.
            rows: their number.

        Returns:
            what `prepare.assign.assign_rows` makes of them, with FILE and POSITION.

        Raises:
            NeedsSparkError: a value is among those of which only Spark knows what they are.
        """
        checked = self.contract.check_rows(read, rows)
        columns, lost = checked.columns, checked.lost
        made = {name: convert_to_kind(columns[name], kind) for name, kind in self.carried.items()}
        made[FILE] = pa.array(np.full(rows, file, np.int64))
        made[POSITION] = pa.array(np.arange(first, first + rows, dtype=np.int64))
        for expression in self.expressions:
            made[expression.name] = expression.compute(columns, rows)
        _refuse_odd_weights(made)
        if self.key:
            key = [columns[name] for name in self.key]
            lacks_key = ~_have_values(key)
            made[ROW_ID] = pa.array(hash_columns(key, rows), mask=lacks_key)
            made[KEY_DIGEST] = digest_texts(key, lacks_key)
        else:
            made[ROW_ID] = pa.nulls(rows, pa.int64())
        if self.latest_by:
            made[LATEST] = convert_to_kind(columns[self.latest_by[0]], self.latest_by[1])
        for number, start in enumerate(range(0, len(self.checks), CHECKS_PER_MASK)):
            bits = np.zeros(rows, np.int64)
            for bit, violated in enumerate(lost[start : start + CHECKS_PER_MASK]):
                bits |= violated.astype(np.int64) << bit
            made[name_mask(number)] = pa.array(bits)
        if self.checks:
            made[PROBLEMS] = join_problems(checked.reasons, rows)
        made[BUCKET] = pa.array(self._choose_buckets(columns, made, lost, rows))
        made[TIE_BREAKER] = pa.array(self._hash_ties(columns, made, rows))
        names = self.list_names()
        return pa.RecordBatch.from_arrays([made[name] for name in names], names=names)

    def _choose_buckets(
        self,
        columns: Mapping[str, pa.Array],
        made: Mapping[str, pa.Array],
        lost: list[np.ndarray],
        rows: int,
    ) -> np.ndarray:
        """Return the int32 bucket of each row: the first check that takes it out, then the first
        reason to filter it, then its split."""
        positions = {name: i for i, name in enumerate(Buckets(self.checks).names)}
        cases = [
            (violated, positions[check.name])
            for check, violated in zip(self.checks, lost, strict=False)
        ]
        nulls = [(LABEL, LABEL_MISSING)]
        nulls += [(BASELINE, BASELINE_MISSING)] if BASELINE in made else []
        cases += [(~_have_values([made[name]]), positions[reason]) for name, reason in nulls]
        if self.split.time:
            cases.append((~_have_values([columns[self.split.time]]), positions[TIME_MISSING]))
        split = self.split.assign(columns, rows, positions[CROSSING])
        conditions, values = zip(*cases, strict=True)
        return np.select(conditions, values, split).astype(np.int32)

    def _hash_ties(
        self, columns: Mapping[str, pa.Array], made: Mapping[str, pa.Array], rows: int
    ) -> np.ndarray:
        ties = [make_hashable(columns[name]) for name in self.ties]
        ties += [made[name] for name in (LABEL, WEIGHT, BASELINE) if name in made]
        return hash_columns([*ties, _list_nulls(ties, rows)], rows)


def _have_values(columns: list[pa.Array]) -> np.ndarray:
    """Return which rows have no null in any column."""
    valid = [column.is_valid().to_numpy(zero_copy_only=False) for column in columns]
    return np.logical_and.reduce(valid)


def _list_nulls(columns: list[pa.Array], rows: int) -> pa.Array:
    """Return the positions of each row's nulls as a text, null where it has none."""
    parts = [
        pc.if_else(column.is_null(), pa.scalar(f",{i}"), pa.scalar(None, pa.string()))
        for i, column in enumerate(columns)
        if column.null_count
    ]
    return concat_present(parts, rows)


def _refuse_odd_weights(made: Mapping[str, pa.Array]) -> None:
    """Refuse rows with a weight that is none: Spark writes the reason, which quotes it."""
    if WEIGHT not in made:
        return
    weight = made[WEIGHT]
    good = pc.fill_null(pc.and_(pc.is_finite(weight), pc.greater_equal(weight, 0.0)), False)
    if pc.any(pc.and_(pc.invert(good), made[LABEL].is_valid())).as_py():
        raise NeedsSparkError("a row's label.sample_weight is no weight")


def make_assigner(
    recipe: Recipe,
    table: TableColumns,
    late: Mapping[str, str],
    raw: Mapping[str, RawKind],
    boundaries: TimeBoundaries | None,
) -> RowAssigner:
    """Make the assigner of a recipe's rows.

    Args:
        recipe: label, dedup and split are read.
        table: the main table.
        late: raw columns that tasks read themselves.
        raw: all raw columns that tasks need -> kind.
        boundaries: of a split by time, of the version that rows are added to; the recipe's dates
            by default.

    Raises:
        NeedsSparkError: the recipe wants what only Spark does.
    """
    schema, dedup, split = table.schema, recipe.clean.dedup, recipe.split
    if recipe.clean.rules:
        raise NeedsSparkError("clean.rules are checked")
    expressions = read_expressions(recipe, schema)
    key = tuple(dedup.key) if dedup else ()
    latest_by = dedup.latest_by if dedup else None
    split_key = tuple(split.key or ())
    for name in (*key, *split_key):
        taken = _KEY_TYPES if name in key else _SPLIT_KEY_TYPES
        if schema.types[name] not in taken:
            raise NeedsSparkError(f"the key column {name} is {schema.types[name].value}")
    latest: tuple[str, RawKind] | None = None
    if latest_by:
        if schema.types[latest_by] not in _LATEST_TYPES:
            raise NeedsSparkError(f"clean.dedup.latest_by is {schema.types[latest_by].value}")
        latest = (latest_by, schema.get_raw_kind(latest_by))
    if split.time and split.time.is_relative and boundaries is None:
        raise NeedsSparkError("the boundaries of split.time follow from the rows")
    if split.time:
        boundaries = boundaries or TimeBoundaries.from_dates(split.time)
    train = round(split.fractions.train * SPLIT_STEPS)
    rule = SplitRule(
        key=split_key,
        seed=split.seed,
        train=train,
        validation=train + round(split.fractions.validation * SPLIT_STEPS),
        last=2 if split.fractions.test else 1,
        time=split.time.column if split.time else "",
        boundaries=boundaries if split.time else None,
    )
    times = [split.time.column] if split.time else []
    ties = sorted({*split_key, *key, *([latest_by] if latest_by else []), *times} - {*raw})
    carried = {name: kind for name, kind in raw.items() if name not in late}
    named = [*carried, *key, *split_key, *times, *ties, *([latest_by] if latest_by else [])]
    named += [name for expression in expressions for name in expression.kinds]
    contract = ContractChecks.from_table(recipe, table)
    checks = contract.list_checks()
    if any(e.name == WEIGHT for e in expressions):
        checks = (*checks, Check("label.sample_weight", "quarantine"))
    columns = {name: table.stored.get_arrow_type(name) for name in [*named, *contract.casts]}
    return RowAssigner(
        columns=columns,
        contract=contract,
        checks=checks,
        expressions=expressions,
        carried=carried,
        key=key,
        latest_by=latest,
        split=rule,
        ties=tuple(ties),
    )
