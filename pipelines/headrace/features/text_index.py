"""Find the positions of texts among many distinct ones, by an index that is built once.

The index is the texts' hashes in ascending order, with the position of each. A text is found by its
hash and then compared itself, so that two texts of one hash are never taken for each other. The
hash is one that TensorFlow computes too (`tf.strings.to_hash_bucket_fast`), so that a model's graph
may search the same arrays, see `text_table`.

Few texts are compared without an index: Arrow hashes them in each call, which is faster (65,536
rows among 1,000 texts: 1 ms without and 14 ms with an index; among a million 290 and 15).
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.features.text_hashes import hash_texts

_UNINDEXED_TEXTS = 32_768


@dataclass(frozen=True)
class TextIndex:
    """Distinct texts, and where each is.

    Attributes:
        texts: string or large_string array.
        hashes: int64 (texts,), ascending; None where texts are few.
        positions: integers (texts,): the position of the text that has the hash.
        size: only texts at lower positions are found.
    """

    texts: pa.Array
    hashes: np.ndarray | None
    positions: np.ndarray | None
    size: int

    @staticmethod
    def from_texts(texts: pa.Array, *, unindexed: int = _UNINDEXED_TEXTS) -> "TextIndex":
        """Return the index of distinct texts.

        Args:
            texts: string array without nulls.
            unindexed: up to how many are searched without an index.
        """
        if len(texts) <= unindexed:
            return TextIndex(texts, None, None, len(texts))
        hashes, positions = sort_hashes(hash_texts(texts))
        return TextIndex(texts, hashes, positions, len(texts))

    def find_positions(self, texts: pa.Array) -> np.ndarray:
        """Return the position of every text, int64 (n,); -1 of one that is not among them.

        Args:
            texts: string array; nulls are not found.
        """
        if self.hashes is None:
            indices = pc.index_in(texts, value_set=self.texts)
            positions = pc.fill_null(indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
        else:
            positions = self._search_hashes(texts, hash_texts(texts))
        return np.where(positions < self.size, positions, -1)

    def _search_hashes(self, texts: pa.Array, hashes: np.ndarray) -> np.ndarray:
        assert self.hashes is not None and self.positions is not None
        positions = np.full(len(texts), -1, np.int64)
        # In their order, neighbours among many millions of hashes are in the processor's cache.
        pending = np.argsort(hashes)
        places = np.searchsorted(self.hashes, hashes[pending])
        while len(pending):
            is_within = places < len(self.hashes)
            places, pending = places[is_within], pending[is_within]
            has_hash = self.hashes[places] == hashes[pending]
            places, pending = places[has_hash], pending[has_hash]
            candidates = np.asarray(self.positions[places], np.int64)
            indexed = self.texts.take(pa.array(candidates))
            queries = texts.take(pa.array(pending)).cast(indexed.type)
            is_same = pc.fill_null(pc.equal(indexed, queries), False).to_numpy(zero_copy_only=False)
            positions[pending[is_same]] = candidates[is_same]
            # Another text of the same hash: the next one may be it.
            places, pending = places[~is_same] + 1, pending[~is_same]
        return positions


def sort_hashes(hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return hashes in ascending order, and the position of each, int32; equal ones by position."""
    order = np.argsort(hashes).astype(np.int32)
    ordered = hashes[order]
    if len(ordered) and (ordered[1:] == ordered[:-1]).any():  # an unstable sort is six times faster
        order = np.argsort(hashes, kind="stable").astype(np.int32)
    return ordered, order
