"""Read planned blocks with pyarrow alone: our own pool and worker, and nothing between them."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from headrace.stream.pool import PlannedPool
from headrace.stream.worker import BlockResult, BlockTask, BlockWorker


class PyarrowReader:
    """A `block_reader.BlockReader` that needs no library but pyarrow."""

    def __init__(
        self,
        filesystem: Any,
        tasks: Sequence[BlockTask],
        *,
        threads: ThreadPoolExecutor,
        prefetch: int,
    ) -> None:
        """
        Args:
            filesystem, tasks, threads, prefetch: see `block_reader.open_block_reader`.
        """
        self._pool: PlannedPool[BlockTask, BlockResult] = PlannedPool(
            tasks, lambda: BlockWorker(filesystem).read_block, threads=threads, prefetch=prefetch
        )

    @property
    def has_submitted_all(self) -> bool:
        """Return whether the last block was submitted to the reader threads."""
        return self._pool.has_submitted_all

    def read_block(self) -> BlockResult | None:
        """Read the next block; see `block_reader.BlockReader`."""
        return self._pool.get_result()

    def close(self) -> None:
        """Cancel what has not been read, and wait for the blocks that are being read."""
        self._pool.join()
