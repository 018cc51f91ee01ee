"""A rank's streams of the splits."""

from pathlib import Path

from headrace.distributed.rank.collectives import Collectives
from headrace.lake.data_file import SplitName
from headrace.lake.version import DatasetVersion
from headrace.recipe import Recipe
from headrace.stream.cache import make_cache
from headrace.stream.columns import Columns
from headrace.stream.split_stream import SplitStream


class Streams:
    """A rank's view of the splits."""

    def __init__(self, recipe: Recipe, dataset: DatasetVersion, workdir: str) -> None:
        self._recipe, self._dataset = recipe, dataset
        settings = recipe.stream
        folder = str(Path(workdir) / "cache" / "stream")
        self._cache = make_cache(settings.cache, settings.cache_bytes, folder)

    def of(self, split: SplitName, columns: Columns, collectives: Collectives) -> SplitStream:
        settings = self._recipe.stream
        return SplitStream.of(
            self._dataset,
            split,
            columns,
            rank=collectives.rank,
            size=collectives.size,
            global_batch_size=self._recipe.train.global_batch_size,
            canonical_shards=settings.canonical_shards,
            shuffle=settings.shuffle and split == "train",
            seed=self._recipe.train.seed,
            readers=settings.readers,
            block_rows=settings.block_rows,
            drop_last=split == "train" and settings.last_batch == "drop",
            cache=self._cache,
        )
