"""Change a file of a sidecar as one who can write to the dataset: with its checksum."""

from pathlib import Path

from fsspec.implementations.local import LocalFileSystem

from headrace.lake.sidecar_sums import rewrite_file


def rewrite(path: Path, text: str) -> None:
    rewrite_file(LocalFileSystem(), str(path), text.encode())
