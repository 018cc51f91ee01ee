"""What a rank's streams take from the recipe, with the streams themselves replaced."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from headrace.stream.split_stream import SplitStream
from headrace.train.streams import SplitStreams
from tests.tiny import tiny_recipe

SECOND_OF_FOUR: Any = SimpleNamespace(rank=1, size=4)
DATASET: Any = object()
COLUMNS: Any = object()


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Arguments of the replaced streams, the first three as `positional`."""
    calls: list[dict[str, Any]] = []

    def record_call(*positional: Any, **options: Any) -> None:
        calls.append({"positional": positional, **options})

    monkeypatch.setattr(SplitStream, "for_split", record_call)
    return calls


def test_a_stream_is_of_this_rank_and_as_the_recipe_says(
    calls: list[dict[str, Any]], tmp_path: Path
) -> None:
    recipe = tiny_recipe(
        tmp_path, "train.seed=7", "train.global_batch_size=32", "stream.canonical_shards=16",
        "stream.readers=3", "stream.block_rows=500", "stream.engine=pyarrow",
        "stream.memory=9000000",
    )  # fmt: skip
    SplitStreams(recipe, DATASET, str(tmp_path)).open_split("test", COLUMNS, SECOND_OF_FOUR)
    (call,) = calls
    assert call.pop("positional") == (DATASET, "test", COLUMNS)
    call.pop("cache")
    assert call == {
        "rank": 1,
        "size": 4,
        "global_batch_size": 32,
        "canonical_shards": 16,
        "shuffle": False,
        "seed": 7,
        "readers": 3,
        "block_rows": 500,
        "memory": 9_000_000,
        "drop_last": False,
        "engine": "pyarrow",
    }


def test_the_train_split_alone_is_shuffled_and_drops_its_last_batch(
    calls: list[dict[str, Any]], tmp_path: Path
) -> None:
    recipe = tiny_recipe(tmp_path, "stream.last_batch=drop")
    streams = SplitStreams(recipe, DATASET, str(tmp_path))
    for split in ("train", "validation"):
        streams.open_split(split, COLUMNS, SECOND_OF_FOUR)
    assert [(call["shuffle"], call["drop_last"]) for call in calls] == [
        (True, True), (False, False),
    ]  # fmt: skip
    unshuffled = tiny_recipe(tmp_path, "stream.shuffle=false")
    SplitStreams(unshuffled, DATASET, str(tmp_path)).open_split("train", COLUMNS, SECOND_OF_FOUR)
    assert not calls[-1]["shuffle"]


def test_all_splits_share_one_cache(calls: list[dict[str, Any]], tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path, "stream.cache=memory")
    streams = SplitStreams(recipe, DATASET, str(tmp_path))
    for split in ("train", "validation"):
        streams.open_split(split, COLUMNS, SECOND_OF_FOUR)
    assert calls[0]["cache"] is not None
    assert calls[0]["cache"] is calls[1]["cache"]
