"""Values as ids by fingerprint, against FarmHash itself."""

import farmhash

from headrace.columns.values import Values
from headrace.features.hash import HashFeature
from tests.fitting import read_integers, read_texts, run_feature


def hash_ids(buckets: int, *columns: Values) -> list[int]:
    names = tuple(f"c{i}" for i in range(len(columns)))
    feature = HashFeature(name="f", columns=names, buckets=buckets)
    return run_feature(feature, *columns)["f"].tolist()


def test_ids_are_fingerprint64_modulo_buckets() -> None:
    e, empty = (1 + farmhash.fingerprint64(text) % 8 for text in ("é".encode(), b""))
    assert hash_ids(8, read_texts("é", None, "", "é")) == [e, 0, empty, e]


def test_a_cross_hashes_the_texts_together() -> None:
    ids = hash_ids(1000, read_texts("a", None, "b", "a"), read_integers(1, 1, None, 2))
    a1, a2 = (1 + farmhash.fingerprint64(text) % 1000 for text in (b"a\x1f1", b"a\x1f2"))
    assert ids == [a1, 0, 0, a2]
    assert hash_ids(10, read_texts(None, None), read_texts("a", "b")) == [0, 0]
