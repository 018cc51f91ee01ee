"""Compute conditions on TensorFlow tensors: the counterpart of `condition_arrays.py`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from headrace.features.tensors import Column
from headrace.transform.calendar import read_time_part
from headrace.transform.condition import Condition

_DTYPES = {"boolean": tf.bool, "real": tf.float64, "string": tf.string}
# More values than this are looked up in a sorted list, and not compared one by one.
_FEW_VALUES = 64


@dataclass(frozen=True)
class _Result:
    """What a node gives: tensors (batch,), or scalars of literals."""

    tensor: tf.Tensor
    null: tf.Tensor


def find_rows(condition: Condition, columns: Mapping[str, Column]) -> tf.Tensor:
    """Find the rows where a condition is true, neither false nor null.

    Args:
        condition: of type boolean.
        columns: those that it reads, with the infinities of reals in place.

    Returns:
        bool (batch,).
    """
    result = _compute(condition, columns)
    return tf.logical_and(result.tensor, tf.logical_not(result.null))


def _compute(node: Condition, columns: Mapping[str, Column]) -> _Result:
    if node.op == "column":
        column = columns[str(node.name)]
        if column.kind == "real":  # an infinity is a number here
            return _Result(column.tensor, tf.math.is_nan(column.tensor))
        return _Result(column.tensor, column.missing)
    if node.op == "literal":
        dtype = _DTYPES.get(node.type, tf.int64)
        value = ("" if node.type == "string" else 0) if node.value is None else node.value
        value = bool(value) if node.type == "boolean" else value
        return _Result(tf.constant(value, dtype), tf.constant(node.value is None))
    if node.op == "present":
        missing = columns[str(node.args[0].name)].missing
        return _Result(tf.logical_not(missing), tf.zeros_like(missing))
    args = [_compute(arg, columns) for arg in node.args]
    return _OPERATIONS[node.op](node, args)


def _join(*args: _Result) -> tf.Tensor:
    null = args[0].null
    for arg in args[1:]:
        null = tf.logical_or(null, arg.null)
    return null


def _compare(node: Condition, args: list[_Result]) -> _Result:
    left, right = (arg.tensor for arg in args)
    if node.op == "equal":
        return _Result(tf.equal(left, right), _join(*args))
    if node.args[0].type == "string":
        return _Result(_compare_texts(node, args), _join(*args))
    function = tf.less if node.op == "less" else tf.less_equal
    return _Result(function(left, right), _join(*args))


def _compare_texts(node: Condition, args: list[_Result]) -> tf.Tensor:
    """Compare a column of texts with a literal, by bytes."""
    literal_first = node.args[0].op == "literal"
    literal = str(node.args[0 if literal_first else 1].value).encode()
    sign = _order_texts(args[1 if literal_first else 0].tensor, literal)
    if literal_first:
        sign = -sign
    return sign < 0 if node.op == "less" else sign <= 0


def _order_texts(texts: tf.Tensor, literal: bytes) -> tf.Tensor:
    """Return -1, 0 or 1 where a text comes before a literal, is it, or comes after it."""
    count = len(literal)
    by_length = tf.sign(tf.strings.length(texts) - count)
    if not count:
        return by_length
    # Shorter texts are filled up with zeros, which are below or equal to what the literal has.
    codes = tf.cast(tf.io.decode_raw(texts, tf.uint8, fixed_length=count), tf.int32)
    steps = tf.sign(codes - tf.constant(list(literal), tf.int32))
    position = tf.argmax(tf.cast(tf.not_equal(steps, 0), tf.int32), axis=1)
    first = tf.gather(steps, position, axis=1, batch_dims=1)
    return tf.where(tf.equal(first, 0), by_length, first)


def _find_among(node: Condition, args: list[_Result]) -> _Result:
    tensor, null = args[0].tensor, args[0].null
    if len(node.values) <= _FEW_VALUES:
        values = tf.constant(list(node.values), tensor.dtype)
        return _Result(tf.reduce_any(tf.equal(tensor[:, tf.newaxis], values), axis=1), null)
    return _Result(_look_up(tensor, node.values), null)


def _look_up(tensor: tf.Tensor, values: tuple[Any, ...]) -> tf.Tensor:
    """Return whether values are among many, by a search of the sorted ones."""
    if tensor.dtype == tf.string:
        encoded = tf.constant(sorted({str(value) for value in values}))
        hashes = tf.strings.to_hash_bucket_fast(encoded, 2**62)
        order = tf.argsort(hashes)
        ordered, known = tf.gather(encoded, order), tf.gather(hashes, order)
        wanted = tf.strings.to_hash_bucket_fast(tensor, 2**62)
    else:
        ordered = tf.constant(np.unique(np.array(values)), tensor.dtype)
        known, wanted = ordered, tensor
    # Two texts of one hash lie side by side.
    position = tf.searchsorted(known, wanted)
    found = tf.zeros_like(tensor, tf.bool)
    for step in (0, 1):
        at = tf.minimum(position + step, len(values) - 1)
        at = tf.minimum(at, tf.shape(ordered)[0] - 1)
        found = tf.logical_or(found, tf.equal(tf.gather(ordered, at), tensor))
    return found


def _combine(node: Condition, args: list[_Result]) -> _Result:
    left, right = args
    is_and = node.op == "and"

    def decides(arg: _Result) -> tf.Tensor:
        value = tf.logical_not(arg.tensor) if is_and else arg.tensor
        return tf.logical_and(tf.logical_not(arg.null), value)

    decided = tf.logical_or(decides(left), decides(right))
    value = tf.logical_not(decided) if is_and else decided
    return _Result(value, tf.logical_and(_join(left, right), tf.logical_not(decided)))


def _compute_arithmetic(node: Condition, args: list[_Result]) -> _Result:
    left, right = (arg.tensor for arg in args)
    null = _join(*args)
    if node.op == "divide":
        zero = tf.equal(right, 0)
        result = left / tf.where(zero, tf.ones_like(right), right)
        return _mark_nan(result, tf.logical_or(null, zero))
    function = {"add": tf.add, "subtract": tf.subtract, "multiply": tf.multiply}[node.op]
    result = function(left, right)
    if node.type == "real":
        return _mark_nan(result, null)
    return _Result(result, tf.logical_or(null, _find_overflow(node.op, left, right, result)))


def _mark_nan(result: tf.Tensor, null: tf.Tensor) -> _Result:
    return _Result(result, tf.logical_or(null, tf.math.is_nan(result)))


def _find_overflow(op: str, left: tf.Tensor, right: tf.Tensor, result: tf.Tensor) -> tf.Tensor:
    """Return where 64 bits do not hold a sum, a difference or a product."""
    if op == "multiply":
        # A product that wrapped around does not give its factor back.
        zero = tf.equal(left, 0)
        minus = tf.logical_and(tf.equal(left, -1), tf.equal(right, tf.int64.min))
        safe = tf.where(tf.logical_or(zero, tf.equal(left, -1)), tf.ones_like(left), left)
        back = tf.equal(result // safe, right) & tf.equal(result % safe, 0)
        is_unit = tf.logical_or(zero, tf.equal(left, -1))
        return tf.logical_or(minus, tf.logical_not(tf.logical_or(is_unit, back)))
    same = tf.equal(left >= 0, right >= 0)
    turned = tf.not_equal(result >= 0, left >= 0)
    return tf.logical_and(same if op == "add" else tf.logical_not(same), turned)


def _change_sign(node: Condition, args: list[_Result]) -> _Result:
    tensor, null = args[0].tensor, args[0].null
    result = -tensor if node.op == "negate" else tf.abs(tensor)
    if node.type != "real":
        null = tf.logical_or(null, tf.equal(tensor, tf.int64.min))
    return _Result(result, null)


def _choose(_: Condition, args: list[_Result]) -> _Result:
    chosen = tf.logical_and(args[0].tensor, tf.logical_not(args[0].null))
    return _Result(
        tf.where(chosen, args[1].tensor, args[2].tensor),
        tf.where(chosen, args[1].null, args[2].null),
    )


def _coalesce(_: Condition, args: list[_Result]) -> _Result:
    result = args[-1]
    for arg in reversed(args[:-1]):
        result = _Result(
            tf.where(arg.null, result.tensor, arg.tensor),
            tf.logical_and(arg.null, result.null),
        )
    return result


def _match(node: Condition, args: list[_Result]) -> _Result:
    pattern = f"(?s:.*)(?:{node.value})(?s:.*)"
    return _Result(tf.strings.regex_full_match(args[0].tensor, pattern), args[0].null)


def _count_characters(_: Condition, args: list[_Result]) -> _Result:
    length = tf.strings.length(args[0].tensor, unit="UTF8_CHAR")
    return _Result(tf.cast(length, tf.int64), args[0].null)


_OPERATIONS: Mapping[str, Callable[[Condition, list[_Result]], _Result]] = {
    "equal": _compare,
    "less": _compare,
    "less_or_equal": _compare,
    "among": _find_among,
    "and": _combine,
    "or": _combine,
    "not": lambda _, args: _Result(tf.logical_not(args[0].tensor), args[0].null),
    "is_null": lambda _, args: _Result(args[0].null, tf.zeros_like(args[0].null)),
    "add": _compute_arithmetic,
    "subtract": _compute_arithmetic,
    "multiply": _compute_arithmetic,
    "divide": _compute_arithmetic,
    "negate": _change_sign,
    "absolute": _change_sign,
    "to_real": lambda _, args: _Result(tf.cast(args[0].tensor, tf.float64), args[0].null),
    "length": _count_characters,
    "matches": _match,
    "time_part": lambda node, args: _Result(
        read_time_part(args[0].tensor, str(node.value)), args[0].null
    ),
    "if": _choose,
    "coalesce": _coalesce,
}
