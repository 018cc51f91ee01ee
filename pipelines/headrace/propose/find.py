"""Which files a table has, and of what format they are; none of them is opened but one, where no
name tells the format.

Files are listed as `headrace prepare` lists them, so that what is proposed is what will be read.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Literal
from urllib.parse import unquote

from headrace.errors import DatasetError, LakeError
from headrace.lake.storage import open_files, reaching
from headrace.propose.option_error import OptionError
from headrace.recipe import sections as s
from headrace.redaction import redact_text
from headrace.source.listing import list_table

Format = Literal["parquet", "csv", "json"]
_SUFFIXES: dict[str, Format] = {
    **dict.fromkeys(("parquet", "parq", "pq"), "parquet"),
    **dict.fromkeys(("csv", "tsv", "psv", "tab", "txt"), "csv"),
    **dict.fromkeys(("json", "jsonl", "ndjson"), "json"),
}
COMPRESSED = ("gz", "bz2")
# Of files that a recipe can read and no proposal can be made for, and others that people have.
_OTHERS = {
    "orc": "ORC: write the recipe yourself, with source.tables.….format: orc",
    "avro": "Avro: convert it to Parquet",
    "xlsx": "a spreadsheet: save it as CSV",
    "xls": "a spreadsheet: save it as CSV",
    "zip": "an archive: unpack it",
    "7z": "an archive: unpack it",
    "tar": "an archive: unpack it",
}
_DEFAULT_PARTITION = "__HIVE_DEFAULT_PARTITION__"
_MOST_SHOWN = 8


@dataclass(frozen=True)
class TableFile:
    """A file of the table.

    Attributes:
        name: relative to the table's folder, empty where the table is this one file.
        path: on the file system.
        bytes: its size.
        partition: column of the folders' names -> text, None for a null.
    """

    name: str
    path: str
    bytes: int
    partition: Mapping[str, str | None]

    @property
    def compressed(self) -> bool:
        return self.path.rpartition(".")[2].lower() in COMPRESSED


@dataclass(frozen=True)
class Found:
    """A table's files.

    Attributes:
        path: as it was given.
        format: of all files.
        files: in the order of their names.
        options: that Spark's reader needs to find them.
        system: fsspec's file system.
    """

    path: str
    format: Format
    files: tuple[TableFile, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    system: Any = None

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files)

    def open(self, file: TableFile) -> BinaryIO:
        """Its bytes, decompressed.

        Raises:
            LakeError: it cannot be read.
        """
        with reading(file.path):
            return self.system.open(file.path, "rb", compression="infer")


@contextmanager
def reading(path: str) -> Iterator[None]:
    """Explain an error of the store.

    Raises:
        LakeError: it refused, or did not answer.
    """
    try:
        with reaching(path):
            yield
    except DatasetError as error:
        raise LakeError(str(error)) from error


def find_table(path: str, format_: str | None) -> Found:
    """The files of the table at a path.

    Args:
        path: a folder, a file, a pattern, or a URL.
        format_: of the files; None to go by their names.

    Raises:
        LakeError: there is nothing, or not one table's files of one format.
        OptionError: no such format.
    """
    shown = redact_text(path)
    # Listed as what has no footers to be counted: of 10,000 Parquet files each would be opened.
    listing = list_table(s.Table(path=path, format="json"), {})
    if listing is None:
        raise LakeError(
            f"there is no file at {shown}, or this machine may not look: check the path, "
            "and the store's credentials"
        )
    system, base = open_files(re.sub(r"^s3[an]://", "s3://", path))
    names = sorted(listing.files)
    folder = f"{base}/" if listing.root else "/" * ("file" in system.protocol)
    files = tuple(
        TableFile(
            name=name,
            path=f"{folder}{name}" if name else base,
            bytes=listing.files[name].bytes,
            partition=_partition(name if listing.root else ""),
        )
        for name in names
        if listing.files[name].bytes
    )
    if not files:
        raise LakeError(f"the {len(names):,} files at {shown} are empty")
    _refuse_delta(shown, system, base)
    files, options = _one_level(shown, files) if listing.root else (files, {})
    found = Found(path, "parquet", files, options, system)
    return Found(path, _format(found, shown, format_), files, options, system)


def _partition(name: str) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for part in name.split("/")[:-1]:
        key, is_pair, value = part.partition("=")
        if is_pair:
            found[unquote(key)] = None if value == _DEFAULT_PARTITION else unquote(value)
    return found


def _refuse_delta(shown: str, system: Any, base: str) -> None:
    for folder, what in (("_delta_log", "a Delta table"), ("metadata", "an Iceberg table")):
        if what == "an Iceberg table" and not system.isdir(f"{base}/data"):
            continue
        if system.isdir(f"{base}/{folder}"):
            raise LakeError(
                f"{shown} is {what}: not all of its files are its rows. Write it as plain Parquet "
                "once to have a recipe proposed; that recipe reads the table with "
                f"source.tables.….format: {what.split()[1].lower()}"
            )


def _one_level(
    shown: str, files: Sequence[TableFile]
) -> tuple[tuple[TableFile, ...], dict[str, Any]]:
    """The files that Spark takes for the table's, and what it has to be told to take them."""
    ours = tuple(file for file in files if all("=" in p for p in file.name.split("/")[:-1]))
    if ours:
        return ours, {}
    folders = sorted({file.name.split("/")[0] for file in files})
    if all(re.fullmatch(r"[0-9-]+", folder) for folder in folders):  # 2024/01/31
        return tuple(files), {"recursiveFileLookup": True}
    listed = ", ".join(folders[:_MOST_SHOWN]) + (", …" if len(folders) > _MOST_SHOWN else "")
    raise LakeError(
        f"{shown} holds no file of a table but folders ({listed}); name one of them, "
        f"for example: headrace init {shown.rstrip('/')}/{folders[0]}"
    )


def _format(found: Found, shown: str, said: str | None) -> Format:
    if said is not None:
        known = sorted(set(_SUFFIXES.values()))
        if said not in known:
            raise OptionError(f"--format {said}: a recipe is proposed for {', '.join(known)}")
        return said
    kinds = Counter(_kind(file.path) for file in found.files)
    if len(kinds) > 1:
        counted = ", ".join(
            f"{count:,} {kind or 'without'}" for kind, count in sorted(kinds.items())
        )
        raise LakeError(
            f"{shown} holds files of several formats ({counted}), and a table has one; "
            f"name those that are meant, for example: '{shown.rstrip('/')}/*.{max(kinds)}'"
        )
    (kind,) = kinds
    if kind in _OTHERS:
        raise LakeError(f"{shown} is {_OTHERS[kind]}")
    return _SUFFIXES.get(kind) or _by_content(found, shown)


def _kind(path: str) -> str:
    """The last suffix that tells a format, or any other that there is."""
    suffixes = path.rpartition("/")[2].lower().split(".")[1:]
    while suffixes and suffixes[-1] in COMPRESSED:
        suffixes.pop()
    if not suffixes:
        return ""
    last = suffixes[-1]
    return _SUFFIXES.get(last, last)


def _by_content(found: Found, shown: str) -> Format:
    with reading(shown), found.open(found.files[0]) as stream:
        begin = stream.read(4096)
    if begin.startswith(b"PAR1"):
        return "parquet"
    text = begin.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text[:1] in (b"{", b"["):
        return "json"
    if b"\0" in begin:
        raise LakeError(
            f"{shown}: neither its name nor its content tells the format; say it with --format "
            "parquet, csv or json"
        )
    return "csv"
