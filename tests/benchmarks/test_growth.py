"""Exponents of costs: fitted right, and none of those that are counted grows beyond its size.

Counts alone are held to a bound, which no other work on the machine moves.
"""

import pytest

from benchmarks.growth import FIGURES, fit_exponent, measure_figure

# Figure -> part of its sizes that is enough to show a slope, and the parts that are counts.
COUNTED = {
    "epoch_plan": (0.02, ("objects", "bytes")),
    "key_check": (0.05, ("files", "bytes")),
    "row_groups": (1.0, ("bound_bytes", "bytes_before_first_batch")),
    "ledger": (0.1, ("bytes",)),
    "vocabulary_counts": (
        0.16, ("index_bytes", "index_blocks", "compared", "lookup_bytes", "lookup_blocks"),
    ),
    "evaluation_counts": (0.064, ("summed_bytes", "chosen_bytes", "gathered_bytes")),
}  # fmt: skip
# Figure -> parts that do not depend on its size at all.
CONSTANT = {
    "vocabulary_counts": ("index_blocks", "compared", "lookup_bytes", "lookup_blocks"),
    "evaluation_counts": ("summed_bytes", "chosen_bytes"),
}


@pytest.mark.parametrize(
    ("costs", "exponent"),
    [([3, 6, 12], 1), ([5, 20, 80], 2), ([7, 7, 7], 0), ([8, 4, 2], -1), ([1, 2, 2], 0.5)],
)
def test_an_exponent_is_the_slope_of_logarithms(costs: list[float], exponent: float) -> None:
    assert fit_exponent([10, 20, 40], costs) == pytest.approx(exponent)


# Part of the figure `records` -> the most that its exponent may be. What a night costs is constant;
# the lines of small nights are written again now and then, as a logarithm. A line of the list of
# versions is a version's.
RECORDS = {
    "night_bytes": 0.2, "list_bytes": 0.35, "score_bytes": 0.35, "night_files": 0.2,
    "open_files": 0.2, "version_files": 0.2, "rank_files": 0.0, "lookup_files": 0.0,
    "versions_files": 1.1,
}  # fmt: skip


@pytest.mark.long
def test_a_night_costs_what_changed_in_it_and_not_the_history() -> None:
    figure = measure_figure("records", 0.25)
    assert figure["sizes"] == [4, 8, 16, 32, 64]
    exponents = figure["exponents"]
    assert exponents.keys() == RECORDS.keys()
    assert {part: e for part, e in exponents.items() if e > RECORDS[part]} == {}


def test_the_second_of_two_nights_costs_what_the_first_did() -> None:
    measure, _ = FIGURES["records"]
    two, four = measure(2), measure(4)
    assert four["night_bytes"] <= 1.1 * two["night_bytes"]
    assert four["lookup_files"] == two["lookup_files"] <= 4
    assert (four["rank_files"], four["versions_files"]) == (1, 3 * 4)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.long] if name == "evaluation_counts" else [])
        for name in COUNTED  # of which one imports TensorFlow
    ],
)
def test_what_is_counted_grows_no_faster_than_its_size(name: str) -> None:
    scale, parts = COUNTED[name]
    figure = measure_figure(name, scale)
    assert len(figure["sizes"]) == 5
    exponents = figure["exponents"]
    assert {part: e for part in parts if (e := exponents[part]) > 1.1} == {}
    assert {part: e for part in CONSTANT.get(name, ()) if (e := exponents[part]) > 0.1} == {}


@pytest.mark.long
def test_slices_of_many_values_are_the_most_frequent_and_one_of_all_others() -> None:
    figure = measure_figure("slice_counts", 0.02)
    assert figure["sizes"] == [125, 250, 500, 1000, 2000]
    assert figure["costs"]["slices"] == [50 + 1] * 5
    assert figure["exponents"]["blocks"] <= 0.1


# Part of the figure `partition_counts` -> the most that its exponent may be. A night lists all
# folders, and opens, processes and tells Spark what changed.
PARTITIONS = {
    "listed": 1.1, "opened": 1.1, "jvm_calls": 0.35, "jobs": 0.2, "tasks": 1.1,
    "record_bytes": 1.1, "night_listed": 1.1, "night_opened": 0.1, "night_jvm_calls": 0.2,
    "night_jobs": 0.2, "night_tasks": 1.1,
}  # fmt: skip


@pytest.mark.long
def test_a_source_partition_costs_a_folder_and_a_file_and_a_night_those_that_changed() -> None:
    figure = measure_figure("partition_counts", 0.0625)
    assert figure["sizes"] == [8, 16, 32, 64, 128]
    exponents = figure["exponents"]
    assert exponents.keys() == PARTITIONS.keys()
    assert {part: e for part, e in exponents.items() if e > PARTITIONS[part]} == {}


@pytest.mark.long
def test_an_epoch_of_merged_files_opens_as_many_as_its_rows_need() -> None:
    figure = measure_figure("optimize", 0.02)
    assert figure["sizes"] == [5, 10, 20, 40, 80]
    assert figure["costs"]["files_before"] == figure["sizes"]
    assert figure["costs"]["files_now"] == [1] * 5  # of 65,536 rows at most


def test_a_rank_holds_objects_of_its_own_shards_and_few_bytes_of_the_others() -> None:
    measure, _ = FIGURES["epoch_plan"]
    costs = measure(65_536)
    # 128 whole row groups and one that is divided at most, in blocks of two, and 65 blocks
    assert costs["objects"] <= 129 + 65
    # the index has 16 bytes a row group, the order and its sums 8 each, and what makes them goes
    assert costs["bytes"] < 65_536 * 60


def test_a_first_batch_takes_a_third_of_the_memory_at_most() -> None:
    measure, largest = FIGURES["first_batch"]
    costs = measure(largest)  # the longest row groups
    assert 0 < costs["bytes"] <= 96 * 2**20 / 3
    assert costs["of_memory"] <= 1 / 3


def test_a_night_reads_five_bytes_of_a_published_row_at_most() -> None:
    measure, _ = FIGURES["key_check"]
    costs = measure(3)
    assert costs["files"] == 3
    assert costs["bytes_per_row"] < 5
