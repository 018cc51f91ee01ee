"""Datasets that Petastorm must not open."""

from headrace.errors import StreamError
from headrace.lake.storage import open_files


def refuse_pickled_metadata(root: str) -> None:
    """Refuse a folder with `_common_metadata`: Petastorm would un-pickle it, which runs code.

    Raises:
        StreamError: there is one.
    """
    filesystem, base = open_files(root)
    if filesystem.exists(f"{base}/_common_metadata"):
        raise StreamError(
            f"{root} holds _common_metadata, where Petastorm keeps a pickled schema; reading it "
            "would run code from the dataset, so Headrace does not. Remove the file: the Parquet "
            "files themselves have the schema"
        )
