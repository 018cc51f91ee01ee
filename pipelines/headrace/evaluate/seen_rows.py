"""Find the rows that a model has seen: those of the train and validation splits of its dataset.

By train rows it was fitted, by validation rows the training stopped and the threshold was chosen.
Rows are told by their identity. Only that column is read, of files that the two datasets do not
share: 8 bytes a row before compression, a file at a time, each rank its part of the files.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from headrace.distributed.rank.collectives import Collectives
from headrace.distributed.rank.gather_rows import gather_to_rank_0
from headrace.labels.label_texts import make_sort_keys
from headrace.labels.spec import LabelSpec
from headrace.lake.data_file import DataFile, SplitName
from headrace.lake.version import DatasetVersion

_SEEN_SPLITS: tuple[SplitName, ...] = ("train", "validation")


@dataclass(frozen=True)
class SeenRows:
    """The rows of one dataset that a model of another one has seen.

    Attributes:
        is_seen: which of the rows are in the train or validation split there, bool (rows,).
        shares_rows: whether any row that was looked for is in those splits, or the datasets share
            files: then identities are the same in both.
    """

    is_seen: np.ndarray
    shares_rows: bool


def find_seen_rows(
    dataset: DatasetVersion, own: DatasetVersion, row_id: np.ndarray, collectives: Collectives
) -> SeenRows:
    """Find which rows of a dataset's test split another dataset's model has seen.

    Args:
        dataset: the one that the model was trained on.
        own: the one that the rows are of.
        row_id: identities of the rows, int64 (rows,), the same on every rank.
        collectives: of the ranks.

    Returns:
        on rank 0 what all ranks found, a bit of a row from each; elsewhere nothing is seen.
    """
    own_files = _list_seen_files(own) if own.root == dataset.root else []
    own_paths = {file.path for file in own_files}
    files = _list_seen_files(dataset)
    # A version has each row in one split only: what it trains on is none of its test rows.
    unshared = [file for file in files if file.path not in own_paths]
    # Rows of one train file tell whether the two identify rows alike where no test row does.
    probe = own.list_files("train")[:1]
    probe_ids = _read_row_ids(own, probe[0]) if probe else np.zeros(0, np.int64)
    looked_for, position = np.unique(np.concatenate([row_id, probe_ids]), return_inverse=True)
    is_found = np.zeros(len(looked_for), bool)
    for file in unshared[collectives.rank :: collectives.size]:
        ids = _read_row_ids(dataset, file)
        nearest = np.searchsorted(looked_for, ids).clip(max=len(looked_for) - 1)
        is_found[nearest[looked_for[nearest] == ids]] = True
    own_bits = np.packbits(is_found)
    gathered = gather_to_rank_0(own_bits, collectives).reshape(-1, len(own_bits))
    bits = np.bitwise_or.reduce(gathered, axis=0)
    is_found = np.unpackbits(bits, count=len(looked_for))[position] > 0
    return SeenRows(
        is_seen=is_found[: len(row_id)],
        shares_rows=bool(is_found.any()) or len(unshared) < len(files),
    )


def read_test_labels(dataset: DatasetVersion, label: LabelSpec) -> Mapping[str, np.ndarray]:
    """Return `row_id` and `label` of a dataset's test rows, sorted as predictions are.

    Args:
        dataset: the one to read.
        label: of its transform.
    """
    table = dataset.read_columns("test", ["row_id", "label"])
    labels = table["label"].combine_chunks()
    if pa.types.is_list(labels.type):
        labels = labels.flatten()
    rows = {
        "row_id": table["row_id"].to_numpy(),
        "label": labels.to_numpy().reshape(-1, *label.array[1]),
    }
    order = np.lexsort((*make_sort_keys(rows["label"]), rows["row_id"]))
    return {name: array[order] for name, array in rows.items()}


def _list_seen_files(dataset: DatasetVersion) -> list[DataFile]:
    return [file for split in _SEEN_SPLITS for file in dataset.list_files(split)]


def _read_row_ids(dataset: DatasetVersion, file: DataFile) -> np.ndarray:
    ids: np.ndarray = dataset.read_file(file, ["row_id"])["row_id"].to_numpy()
    return ids
