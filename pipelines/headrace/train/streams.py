"""Open the streams of a rank: one per split, as the recipe says, with one cache for all."""

from pathlib import Path

from headrace.distributed.rank.collectives import Collectives
from headrace.lake.data_file import SplitName
from headrace.lake.version import DatasetVersion
from headrace.recipe import Recipe
from headrace.stream.cache import make_cache
from headrace.stream.columns import Columns
from headrace.stream.split_stream import SplitStream


class SplitStreams:
    """The splits of a dataset version, as streams of a rank."""

    def __init__(self, recipe: Recipe, dataset: DatasetVersion, workdir: str) -> None:
        self._recipe, self._dataset = recipe, dataset
        settings = recipe.stream
        folder = str(Path(workdir) / "cache" / "stream")
        self._cache = make_cache(settings.cache, settings.cache_bytes, folder)

    def open_split(
        self, split: SplitName, columns: Columns, collectives: Collectives
    ) -> SplitStream:
        """Open a split for a rank; the train split alone is shuffled or drops its last batch.

        Args:
            split: name of the split.
            columns: to be read; see `stream.columns`.
            collectives: rank and size decide which rows.

        Raises:
            StreamError: see `SplitStream.for_split`.
        """
        settings = self._recipe.stream
        return SplitStream.for_split(
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
            memory=settings.memory,
            drop_last=split == "train" and settings.last_batch == "drop",
            cache=self._cache,
            engine=settings.engine,
        )
