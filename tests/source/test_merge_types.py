"""The common type of two types: whatever their order, and nothing is lost."""

import pytest

from headrace.lake.file_columns import FileType
from headrace.source.merge_types import find_unreadable, merge_types

WORDS: tuple[FileType, ...] = (
    "null", "boolean", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float", "double", "decimal(10,2)", "decimal(38,0)", "date", "timestamp", "timestamp_ntz",
    "string", "char", "binary", {"list": "int32"}, {"list": "double"},
    {"struct": [["a", "int32"]]}, {"struct": [["a", "int64"], ["b", "string"]]},
    {"map": ["string", "int32"]}, {"map": ["string", "double"]},
)  # fmt: skip


@pytest.mark.parametrize("first", WORDS, ids=str)
def test_what_two_types_have_in_common_does_not_depend_on_their_order(first: FileType) -> None:
    assert merge_types(first, first) == first
    assert merge_types("null", first) == first
    for second in WORDS:
        merged, other = merge_types(first, second), merge_types(second, first)
        if merged is None:
            assert other is None
            continue
        same = isinstance(merged, dict) and "struct" in merged
        assert merged == other or same  # fields come in the order of their files
        assert merge_types(merged, first) == merged
        assert find_unreadable(merged) is None
