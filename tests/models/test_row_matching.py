"""Ids of two vocabularies that stand for the same, worked out by hand."""

import numpy as np

from headrace.features.vocabulary import VocabularyFeature
from headrace.models.row_matching import match_ids


def make_feature(*values: str, unknown_ids: int = 1) -> VocabularyFeature:
    return VocabularyFeature(name="v", column="v", values=values, unknown_ids=unknown_ids)


def test_values_are_matched_by_their_text_and_unknown_ids_where_both_have_as_many() -> None:
    source_ids, ids = match_ids(make_feature("a", "", "c"), make_feature("d", "c", "a"))
    assert (source_ids.tolist(), ids.tolist()) == ([0, 1, 4, 2], [0, 1, 3, 4])
    source_ids, ids = match_ids(make_feature("a", unknown_ids=2), make_feature("a"))
    assert (source_ids.tolist(), ids.tolist()) == ([0, 3], [0, 2])
    source_ids, ids = match_ids(make_feature(), make_feature())
    assert source_ids.tolist() == ids.tolist() == [0, 1]
    assert ids.dtype == source_ids.dtype == np.int64
