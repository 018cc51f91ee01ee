"""Hash texts alike on Arrow values and in TensorFlow: FarmHash's Fingerprint64.

`farmhash.fingerprint64(x) % n` equals `tf.strings.to_hash_bucket_fast(x, n)` for every text.
"""

import farmhash
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

HASH_BUCKETS = 2**63 - 1
"""Number of different hashes of `hash_texts`, the most that fit TensorFlow's int64."""


def fingerprint_texts(texts: pa.Array) -> np.ndarray:
    """Return the fingerprint of every text, uint64 (n,); that of "" for null."""
    kind = pa.large_binary() if pa.types.is_large_string(texts.type) else pa.binary()
    values = pc.fill_null(texts, "").cast(kind).to_numpy(zero_copy_only=False)
    return np.fromiter(map(farmhash.fingerprint64, values), np.uint64, len(values))


def hash_texts(texts: pa.Array) -> np.ndarray:
    """Return the hash of every text, int64 (n,), of `HASH_BUCKETS`."""
    return (fingerprint_texts(texts) % np.uint64(HASH_BUCKETS)).astype(np.int64)
