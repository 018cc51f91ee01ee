"""Compute conditions on Arrow and NumPy columns; `graph_conditions.py` does so on tensors."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.columns.values import Values
from headrace.transform.calendar import read_time_part
from headrace.transform.condition import Condition


@dataclass(frozen=True)
class _Result:
    """What a node gives.

    Attributes:
        array: bool, int64 or float64 (rows,); of texts the column, or the literal.
        null: bool (rows,).
    """

    array: Any
    null: np.ndarray


def find_rows(condition: Condition, columns: Mapping[str, Values], rows: int) -> np.ndarray:
    """Find the rows where a condition is true, neither false nor null.

    Args:
        condition: of type boolean.
        columns: those that it reads, as `read_column` returns them.
        rows: their number.

    Returns:
        bool (rows,).
    """
    with np.errstate(all="ignore"):
        result = _compute(condition, columns, rows)
    return np.asarray(result.array, bool) & ~result.null


def _compute(node: Condition, columns: Mapping[str, Values], rows: int) -> _Result:
    if node.op == "column":
        return _read_column(columns[str(node.name)])
    if node.op == "literal":
        return _make_literal(node, rows)
    if node.op == "present":
        values = columns[str(node.args[0].name)]
        return _Result(~values.missing, np.zeros(rows, bool))
    args = [_compute(arg, columns, rows) for arg in node.args]
    if node.args[0].type == "string" and node.op != "is_null":
        return _compute_of_texts(node, args)
    return _OPERATIONS[node.op](node, args)


def _read_column(values: Values) -> _Result:
    if values.kind == "string":
        return _Result(values, values.missing)
    null = values.missing
    if values.kind == "real":
        null = null & ~np.isinf(values.array)
    return _Result(values.array, null)


def _make_literal(node: Condition, rows: int) -> _Result:
    no_null = np.zeros(rows, bool)
    if node.value is None:
        dtype = {"boolean": bool, "real": np.float64}.get(node.type, np.int64)
        return _Result(np.zeros(rows, dtype), ~no_null)
    if node.type == "string":
        return _Result(str(node.value), no_null)
    dtype = {"boolean": bool, "real": np.float64}.get(node.type, np.int64)
    return _Result(np.full(rows, node.value, dtype), no_null)


def _compute_of_texts(node: Condition, args: list[_Result]) -> _Result:
    null = np.logical_or.reduce([arg.null for arg in args])
    column = next(arg.array for arg in args if isinstance(arg.array, Values))
    if node.op == "matches":
        found = _map_texts(column, lambda texts: pc.match_substring_regex(texts, str(node.value)))
    elif node.op == "length":
        found = _map_texts(column, pc.utf8_length).astype(np.int64)
    elif node.op == "among":
        wanted = pa.array(node.values, pa.string())
        found = _map_texts(column, lambda texts: pc.is_in(texts, wanted))
    elif len(args) > 1 and all(isinstance(arg.array, Values) for arg in args):
        left, right = (_decode_texts(arg.array) for arg in args)
        found = pc.fill_null(pc.equal(left, right), False).to_numpy(zero_copy_only=False)
    else:
        found = _compare_with_literal(node, args, column)
    return _Result(found, null)


def _compare_with_literal(node: Condition, args: list[_Result], column: Values) -> np.ndarray:
    is_left = isinstance(args[0].array, Values)
    literal = next(arg.array for arg in args if isinstance(arg.array, str))
    compare = {
        "equal": (pc.equal, pc.equal),
        "less": (pc.less, pc.greater),
        "less_or_equal": (pc.less_equal, pc.greater_equal),
    }[node.op][0 if is_left else 1]
    return _map_texts(column, lambda texts: compare(texts, pa.scalar(literal, pa.string())))


def _map_texts(column: Values, function: Callable[[pa.Array], pa.Array]) -> np.ndarray:
    """Return what a function gives for each row's text, computed once for each distinct text."""
    texts, positions = column.encode_texts()
    if not len(texts):
        return np.zeros(len(positions), bool)
    return np.asarray(function(texts).to_numpy(zero_copy_only=False)[positions])


def _decode_texts(column: Values) -> pa.Array:
    texts, positions = column.encode_texts()
    if not len(texts):
        return pa.nulls(len(positions), pa.string())
    return texts.take(pa.array(positions))


def _join(*args: _Result) -> np.ndarray:
    return np.asarray(np.logical_or.reduce([arg.null for arg in args]))


def _compare(function: Any) -> Callable[[Condition, list[_Result]], _Result]:
    return lambda _, args: _Result(function(args[0].array, args[1].array), _join(*args))


def _combine(node: Condition, args: list[_Result]) -> _Result:
    left, right = args
    if node.op == "and":
        decided = (~left.null & ~left.array) | (~right.null & ~right.array)
        value = ~decided
    else:
        decided = (~left.null & left.array) | (~right.null & right.array)
        value = decided
    return _Result(value, _join(left, right) & ~decided)


def _compute_arithmetic(node: Condition, args: list[_Result]) -> _Result:
    left, right = (arg.array for arg in args)
    null = _join(*args)
    if node.op == "divide":
        zero = right == 0
        return _mark_nan(left / np.where(zero, 1, right), null | zero)
    function = {"add": np.add, "subtract": np.subtract, "multiply": np.multiply}[node.op]
    result = function(left, right)
    if node.type == "real":
        return _mark_nan(result, null)
    return _Result(result, null | _find_overflow(node.op, left, right, result))


def _mark_nan(result: np.ndarray, null: np.ndarray) -> _Result:
    return _Result(result, null | np.isnan(result))


def _find_overflow(op: str, left: Any, right: Any, result: np.ndarray) -> np.ndarray:
    """Return where 64 bits do not hold a sum, a difference or a product."""
    if op == "add":
        return ((left >= 0) == (right >= 0)) & ((result >= 0) != (left >= 0))
    if op == "subtract":
        return ((left >= 0) != (right >= 0)) & ((result >= 0) != (left >= 0))
    near = np.abs(left.astype(np.float64) * right.astype(np.float64)) >= 2.0**62
    exact = [int(a) * int(b) for a, b in zip(left[near], right[near], strict=True)]
    overflow = np.zeros(len(result), bool)
    overflow[near] = [not -(2**63) <= number < 2**63 for number in exact]
    return overflow


def _change_sign(node: Condition, args: list[_Result]) -> _Result:
    array = args[0].array
    result = -array if node.op == "negate" else np.abs(array)
    lost = np.zeros(len(array), bool) if node.type == "real" else array == -(2**63)
    return _Result(result, args[0].null | lost)


def _choose(_: Condition, args: list[_Result]) -> _Result:
    chosen = args[0].array & ~args[0].null
    return _Result(
        np.where(chosen, args[1].array, args[2].array), np.where(chosen, args[1].null, args[2].null)
    )


def _coalesce(_: Condition, args: list[_Result]) -> _Result:
    result = args[-1]
    for arg in reversed(args[:-1]):
        result = _Result(
            np.where(arg.null, result.array, arg.array), np.where(arg.null, result.null, False)
        )
    return result


def _find_among(node: Condition, args: list[_Result]) -> _Result:
    array = args[0].array
    values = np.array(node.values, array.dtype)
    return _Result(np.isin(array, values), args[0].null)


def _read_part(node: Condition, args: list[_Result]) -> _Result:
    micros = np.where(args[0].null, 0, args[0].array)
    return _Result(read_time_part(micros, str(node.value)), args[0].null)


_OPERATIONS: Mapping[str, Callable[[Condition, list[_Result]], _Result]] = {
    "equal": _compare(np.equal),
    "less": _compare(np.less),
    "less_or_equal": _compare(np.less_equal),
    "among": _find_among,
    "and": _combine,
    "or": _combine,
    "not": lambda _, args: _Result(~args[0].array, args[0].null),
    "is_null": lambda _, args: _Result(args[0].null, np.zeros(len(args[0].null), bool)),
    "add": _compute_arithmetic,
    "subtract": _compute_arithmetic,
    "multiply": _compute_arithmetic,
    "divide": _compute_arithmetic,
    "negate": _change_sign,
    "absolute": _change_sign,
    "to_real": lambda _, args: _Result(args[0].array.astype(np.float64), args[0].null),
    "time_part": _read_part,
    "if": _choose,
    "coalesce": _coalesce,
}
