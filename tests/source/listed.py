"""Make listings by hand."""

from typing import Any

from headrace.lake.source_partition import SourceFile
from headrace.source.listing import Listing


def file(path: str, **changes: Any) -> SourceFile:
    return SourceFile(**{"path": path, "bytes": 1, "changed": "1"} | changes)


def listing_of(*paths: str) -> Listing:
    return Listing("/lake/t", {path: file(path) for path in paths})
