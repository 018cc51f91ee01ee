"""The options of the first job's tasks."""

import numpy as np

from headrace.prepare.shuffle.options import ShuffleOptions
from headrace.prepare.shuffle.partitioner import Partitioner
from headrace.source.partition_index import PartitionIndex
from headrace.transform.fit import FitInputs


def test_columns_that_are_fitted_and_passed_through_are_read_once() -> None:
    options = ShuffleOptions(
        fit_inputs=FitInputs({"b": "real", "a": "string"}, {}, {}),
        checks=0,
        partitioner=Partitioner(1, 1, (1,)),
        seed=0,
        partition_index=PartitionIndex(("",), np.zeros(0), np.zeros(0)),
        duplicates_folder="",
        passthrough=("a", "c"),
    )
    assert options.raw_columns == ["b", "a", "c"]
