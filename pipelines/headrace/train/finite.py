"""Refuse numbers that are not finite before anything is kept: weights, and what is predicted.

A weight that is NaN or infinite never becomes a number again, so a training that has one has
failed, even where its last loss was finite: the update came after the loss.
"""

from collections.abc import Mapping, Sequence

import keras
import numpy as np

from headrace.distributed.rank.collectives import Collectives
from headrace.errors import TrainError
from headrace.models.table_storage import list_chunks, take_rows
from headrace.number_text import format_exact
from headrace.recipe import sections as s
from headrace.train.row_optimizer import AnyOptimizer
from headrace.train.sharded_tables import list_sharded_tables
from headrace.train.variables import list_shard_variables, list_whole_variables


def check_variables(
    variables: Mapping[str, np.ndarray], when: str, settings: s.Train | None = None
) -> None:
    """Check that all numbers of a training's variables are finite.

    Args:
        variables: path of a variable -> its values, of any dtype.
        when: point in the training, for the error.
        settings: whose values may have caused it; None where no step was taken.

    Raises:
        TrainError: one is not; it names the first such variable and the settings to look at.
    """
    bad = find_bad_arrays(variables)
    if not bad:
        return
    name, count = bad[0], np.count_nonzero(~np.isfinite(variables[bad[0]]))
    others = f", and {len(bad) - 1} other variables" if len(bad) > 1 else ""
    fix = f"; {suggest_fixes(settings)}" if settings else ""
    raise TrainError(
        f"{when} {count:,} of the {variables[name].size:,} numbers of {name} are not finite"
        f"{others}; nothing was kept of it{fix}"
    )


def check_model(
    model: keras.Model,
    optimizer: AnyOptimizer | None,
    when: str,
    settings: s.Train | None = None,
    collectives: Collectives | None = None,
) -> None:
    """Check that all weights are finite, and all moments of the optimizer.

    Args:
        model: of this rank.
        optimizer: of this rank; None where there is none. An infinite moment of it would keep its
            weight from ever changing again.
        when: point in the training, for the error.
        settings: see `check_variables`.
        collectives: the ranks, which call this together where tables are sharded.

    Raises:
        TrainError: see `check_variables`.
    """
    variables = list_whole_variables(model, optimizer).all
    arrays = {v.path: np.asarray(keras.ops.convert_to_numpy(v)) for v in variables}
    check_variables(arrays, when, settings)
    for table in list_sharded_tables(model):
        bad = sum(_count_bad_numbers(v) for v in list_shard_variables(table, optimizer))
        if collectives:
            bad = int(collectives.allgather(np.array([bad], np.int64)).sum())
        if bad:
            fix = f"; {suggest_fixes(settings)}" if settings else ""
            raise TrainError(
                f"{when} {bad:,} numbers of the sharded table {table.layer.name} or its moments "
                f"are not finite; nothing was kept of it{fix}"
            )


def _count_bad_numbers(variable: keras.Variable) -> int:
    rows, width = map(int, variable.shape)
    pieces = (take_rows(variable, chunk) for chunk in list_chunks(rows, width))
    return sum(piece.size - int(np.count_nonzero(np.isfinite(piece))) for piece in pieces)


def find_bad_arrays(arrays: Mapping[str, np.ndarray]) -> list[str]:
    """List the names of arrays with numbers that are not finite."""
    return [
        name
        for name, array in arrays.items()
        if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all()
    ]


def count_bad_rows(output: np.ndarray) -> int:
    """Count the rows of an output, (rows,) or (rows, columns), with a number that is not finite."""
    return len(_list_bad_rows(output))


def _list_bad_rows(output: np.ndarray) -> np.ndarray:
    return np.flatnonzero(~np.isfinite(output).all(axis=tuple(range(1, output.ndim))))


def check_predictions(output: np.ndarray, rows: str, settings: s.Train) -> None:
    """Check that a trained model's predictions are finite, before they are recorded with it.

    Args:
        output: (rows,) or (rows, columns).
        rows: what was predicted, in words.
        settings: of the training, for the fix.

    Raises:
        TrainError: one is not.
    """
    bad = _list_bad_rows(output)
    if len(bad):
        raise TrainError(
            f"the model's predictions for {len(bad):,} of {len(output):,} {rows} are not finite "
            f"(first row {bad[0]:,}); it is not registered. A feature holds extreme values there: "
            "add a rule or a transform (log, clip) for it and prepare the dataset again, or "
            f"{suggest_fixes(settings)}"
        )


def suggest_fixes(settings: s.Train) -> str:
    """Return what to change in the recipe, the settings that were used first."""
    fixes: list[str] = []
    if settings.precision == "mixed_float16":
        fixes.append("set train.precision to mixed_bfloat16 or float32, whose range is larger")
    if settings.compression == "fp16":
        fixes.append("set train.compression to bf16 or none")
    fixes.append(
        f"lower train.optimizer.learning_rate ({format_exact(settings.optimizer.learning_rate)}, "
        f"schedule {settings.schedule.kind})"
    )
    if settings.optimizer.clip_norm is None:
        fixes.append("set train.optimizer.clip_norm")
    fixes.append("look for extreme values in the features")
    return _join(fixes)


def _join(items: Sequence[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])}, and {items[-1]}"
