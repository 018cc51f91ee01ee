"""What the tasks of a scoring job report, added up by the driver."""

import numpy as np

from headrace.lake.score_record import PredictionFile
from headrace.score.task_results import TaskResults


def file(path: str) -> PredictionFile:
    return PredictionFile(path=path, partition="day=1", values={"day": None}, rows=3, bytes=9)


def test_results_of_two_tasks_add_up() -> None:
    first, second = TaskResults(files=[file("a")]), TaskResults(files=[file("b")])
    first.buckets.update({(0, 0): 5, (1, 2): 1})
    second.buckets.update({(0, 0): 7, (0, 1): 2})
    first.add_counts("x", np.array([1, 2]))
    first.add_counts("x", np.array([10, 0]))
    second.add_counts("x", np.array([0, 5]))
    second.add_counts("word", np.array([4]))
    first.unknown.update({"word": 1})
    second.unknown.update({"word": 2})
    first.add_predictions(np.array([3, 0, 1]))
    first.quarantined_rows, first.quarantine_files = 1, ["q-1"]
    second.quarantined_rows, second.quarantine_files = 2, ["q-2", "q-3"]
    total = TaskResults()
    for part in (first, second):
        total.add_bytes(part.to_bytes())
    assert total.files == [file("a"), file("b")]
    assert total.buckets == {(0, 0): 12, (1, 2): 1, (0, 1): 2}
    assert {name: counts.tolist() for name, counts in total.counts.items()} == {
        "x": [11, 7], "word": [4]
    }  # fmt: skip
    assert total.unknown == {"word": 3}
    assert total.predictions is not None
    assert total.predictions.tolist() == [3, 0, 1]  # of the second task there are none
    assert (total.quarantined_rows, total.quarantine_files) == (3, ["q-1", "q-2", "q-3"])


def test_a_task_without_rows_adds_nothing() -> None:
    total = TaskResults()
    total.add_bytes(TaskResults().to_bytes())
    assert total == TaskResults()
