"""Compute the references of a dataset version: fit them on train rows, predict the test rows.

Nothing here depends on the model that is evaluated, so the result is kept beside the dataset for
the next one. Called on rank 0, in a thread, while the ranks predict.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from headrace.evaluate.references.rows import read_blocks, read_rows
from headrace.evaluate.references.tree import (
    Rows,
    Tree,
    TreeColumns,
    find_obstacle,
    fit_tree,
    split_inputs,
)
from headrace.labels.constant import fit_constant
from headrace.labels.label_texts import make_sort_keys
from headrace.lake.data_file import SplitName
from headrace.lake.version import DatasetVersion
from headrace.recipe import sections as s
from headrace.stream.columns import Columns, build_feature_columns, list_weight_columns
from headrace.transform.spec import ModelInput, TransformSpec

DEFAULT_ROWS = 131_072
"""Train rows that trees are fitted on, at most. On the flights (23 columns, 260,418 train rows)
that takes 1.6 s of one core and gives a ROC AUC of 0.753; all rows take 3.1 s and give 0.763."""
_MAX_VALUES = 2**25  # of the sample: about 700 MB while trees are fitted
_VALIDATION_ROWS = 65_536  # by which the number of iterations is chosen
_CONSTANT_BYTES = 2**28  # of labels and weights that the constant is fitted on

SplitPredictions = dict[str, np.ndarray]
"""Split -> the output of the trees, float32 (rows,) or (rows, classes), in the order of
`predictions.predict_rows`: by identity and label."""


@dataclass(frozen=True)
class References:
    """The references of a dataset version.

    Attributes:
        constant: of `constant.fit_constant`.
        tree: predictions of the trees; None where there are none.
        left_out: reference -> why there is none of it.
        facts: about them, as plain values: rows, weights, iterations.
        row_digests: split -> of its rows, see `digest_rows`.
        notes: what the user has to know of this computation.
    """

    constant: np.ndarray
    tree: SplitPredictions | None
    left_out: dict[str, str]
    facts: dict[str, Any]
    row_digests: dict[str, str]
    notes: list[str] = field(default_factory=list)


def compute_references(
    dataset: DatasetVersion, spec: TransformSpec, settings: s.Evaluate
) -> References:
    """Fit the references on train rows, under the weights that the evaluation uses.

    Args:
        dataset, spec: a dataset and its transform.
        settings: which references, how many rows, and whether rows have their weights.

    Raises:
        ModelError: no train row has weight.
        UnreachableError, DatasetError, StreamError: the dataset cannot be read.
    """
    weights = list_weight_columns(spec) if settings.weighted else {}
    dtype, shape = spec.label.array
    labels = Columns(
        {"label": ModelInput(dtype, shape, ("label",))}
        | {name: ModelInput(kind, (), (column,)) for name, (kind, column) in weights.items()}
    )
    most = max(1, _CONSTANT_BYTES // labels.row_bytes)
    train = read_rows(dataset, "train", labels, most)
    constant = fit_constant(spec.label, train["label"], _get_weights(train))
    facts: dict[str, Any] = {
        "train_rows": dataset.count_rows("train"),
        "constant_rows": len(train["label"]),
        "weighted": bool(weights),
    }
    del train
    if "tree" not in settings.references:
        return References(constant, None, {}, facts, {})
    obstacle = find_unsuitable_features(spec)
    if obstacle is None:
        try:
            fitted = _fit_tree(dataset, spec, settings, weights, constant)
        except (ValueError, MemoryError) as error:  # of scikit-learn: a reference ends nothing
            obstacle = f"scikit-learn could not fit it ({type(error).__name__}: {error})"
        else:
            if isinstance(fitted, str):
                obstacle = fitted
            else:
                facts |= {"tree_rows": fitted.rows, "tree_iterations": fitted.tree.iterations}
                tree, digests = _predict_splits(dataset, spec, fitted)
                return References(constant, tree, {}, facts, digests)
    return References(constant, None, {"tree": obstacle}, facts, {})


def find_unsuitable_features(spec: TransformSpec) -> str | None:
    """Return why trees cannot read a dataset; None where they can."""
    if spec.label.array[1]:
        return f"a label of kind {spec.label.kind} has several values per row"
    if spec.shaped:
        names = ", ".join(feature.name for feature in spec.shaped[:3])
        return f"trees read numbers and ids, and not images, texts and series ({names})"
    return None


def choose_sample_rows(settings: s.Evaluate, columns: int) -> int:
    """Return how many train rows trees are fitted on, at most."""
    return settings.reference_rows or min(DEFAULT_ROWS, max(1, _MAX_VALUES // max(1, columns)))


def digest_rows(row_id: np.ndarray, label: np.ndarray) -> str:
    """Return a digest of rows in their order: predictions of others cannot stand beside them."""
    digest = hashlib.sha256(np.ascontiguousarray(row_id).tobytes())
    digest.update(np.ascontiguousarray(label).tobytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class _Fitted:
    tree: Tree
    columns: TreeColumns
    rows: int


def _fit_tree(
    dataset: DatasetVersion,
    spec: TransformSpec,
    settings: s.Evaluate,
    weights: Mapping[str, tuple[str, str]],
    constant: np.ndarray,
) -> "_Fitted | str":
    """Fit trees on a sample; or return why there is nothing to fit."""
    columns = build_feature_columns(spec, dict(weights))
    width = sum(prod(item.shape) for item in spec.inputs.values())
    sample = _drop_weightless(
        read_rows(dataset, "train", columns, choose_sample_rows(settings, width))
    )
    rows = len(sample["label"])
    tree_columns = TreeColumns(*split_inputs(sample, rows))
    obstacle = find_obstacle(spec.label, sample["label"], tree_columns.count)
    if obstacle:
        return obstacle
    train = _make_rows(sample, tree_columns)
    del sample
    validation = None
    if dataset.count_rows("validation"):
        most = min(_VALIDATION_ROWS, choose_sample_rows(settings, width))
        others = _drop_weightless(read_rows(dataset, "validation", columns, most))
        validation = _make_rows(others, tree_columns) if len(others["label"]) else None
    tree = fit_tree(spec.label, train, validation, tree_columns.is_category, constant)
    return _Fitted(tree, tree_columns, rows)


def _predict_splits(
    dataset: DatasetVersion, spec: TransformSpec, fitted: _Fitted
) -> tuple[SplitPredictions, dict[str, str]]:
    """Predict all rows of test and validation, and return the digests of the rows."""
    columns = build_feature_columns(spec, {"row_id": ("int64", "row_id")})
    predictions: SplitPredictions = {}
    digests: dict[str, str] = {}
    splits: tuple[SplitName, ...] = ("test", "validation")
    for split in splits:
        parts: dict[str, list[np.ndarray]] = {"row_id": [], "label": [], "output": []}
        for block in read_blocks(dataset, split, columns):
            matrix = fitted.columns.build_matrix(*split_inputs(block, len(block["label"])))
            parts["output"].append(fitted.tree.predict(matrix))
            parts["row_id"].append(block["row_id"])
            parts["label"].append(block["label"])
        if not parts["label"]:
            continue
        rows = {name: np.concatenate(arrays) for name, arrays in parts.items()}
        output = rows["output"]
        last = output.max(axis=1) if output.ndim == 2 else output
        order = np.lexsort((last, *make_sort_keys(rows["label"]), rows["row_id"]))
        predictions[split] = output[order]
        digests[split] = digest_rows(rows["row_id"][order], rows["label"][order])
    return predictions, digests


def _get_weights(rows: Mapping[str, np.ndarray]) -> np.ndarray:
    if "sample_weight" in rows:
        return np.asarray(rows["sample_weight"].astype(np.float64))
    return np.ones(len(rows["label"]))


def _drop_weightless(rows: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    if "sample_weight" not in rows:
        return rows
    has_weight = rows["sample_weight"] > 0
    return {name: array[has_weight] for name, array in rows.items()}


def _make_rows(rows: Mapping[str, np.ndarray], columns: TreeColumns) -> Rows:
    matrix = columns.build_matrix(*split_inputs(rows, len(rows["label"])))
    return Rows(matrix, rows["label"].astype(np.float64), _get_weights(rows))
