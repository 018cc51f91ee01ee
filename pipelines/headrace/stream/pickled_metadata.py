"""Refuse folders with Petastorm's pickled metadata, which Petastorm would un-pickle."""

from headrace.errors import StreamError
from headrace.lake.storage import open_filesystem


def refuse_pickled_metadata(root: str) -> None:
    """Refuse a folder with `_common_metadata`: un-pickling it would run code from the dataset.

    Args:
        root: folder or URL of a dataset.

    Raises:
        StreamError: the folder has the file.
    """
    filesystem, base = open_filesystem(root)
    if filesystem.exists(f"{base}/_common_metadata"):
        raise StreamError(
            f"{root} holds _common_metadata, where Petastorm keeps a pickled schema; reading it "
            "would run code from the dataset, so Headrace does not. Remove the file: the Parquet "
            "files themselves have the schema"
        )
