"""The second job of a build: done beside the first, and given up with it."""

import time

import pytest

from headrace.prepare.background_job import BackgroundJob

pytestmark = pytest.mark.spark


def slow_count(spark: object, seconds: float) -> int:
    def wait(batches: object) -> object:
        for batch in batches:
            time.sleep(seconds)
            yield batch

    return spark.range(1, numPartitions=1).mapInArrow(wait, "id long").count()


def test_its_result_is_handed_over(spark: object) -> None:
    with BackgroundJob(spark.range(1), "one") as background:
        count = background.start(lambda: slow_count(spark, 0.1))
        assert spark.range(3).count() == 3
        assert count.result() == 1


@pytest.mark.classic  # the tracker of jobs is the context's
def test_it_ends_where_the_block_fails(spark: object) -> None:
    started = time.monotonic()
    with pytest.raises(KeyError, match="first"), BackgroundJob(spark.range(1), "two") as background:
        count = background.start(lambda: slow_count(spark, 300))
        while not spark.sparkContext.statusTracker().getActiveJobsIds():
            time.sleep(0.1)
        raise KeyError("first")
    assert time.monotonic() - started < 100
    with pytest.raises(Exception, match=r"(?i)cancel"):
        count.result()
