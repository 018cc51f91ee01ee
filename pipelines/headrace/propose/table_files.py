"""List the files of a table and determine their format.

Files are listed as `headrace prepare` lists them, so that a recipe is proposed for the files that
will be read. None is opened, except one where no file name tells the format.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Literal

from headrace.errors import LakeError, OptionError
from headrace.lake.storage import explain_table_errors, normalize_s3_scheme, open_filesystem
from headrace.recipe import sections as s
from headrace.redaction import redact_text
from headrace.source.list_table import list_table

Format = Literal["parquet", "csv", "json"]
_SUFFIXES: dict[str, Format] = {
    **dict.fromkeys(("parquet", "parq", "pq"), "parquet"),
    **dict.fromkeys(("csv", "tsv", "psv", "tab", "txt"), "csv"),
    **dict.fromkeys(("json", "jsonl", "ndjson"), "json"),
}
COMPRESSED_SUFFIXES = ("gz", "bz2")
# A format that recipes can read and init makes no proposal for, and others that people have.
_UNSUPPORTED = {
    "orc": "ORC: write the recipe yourself, with source.tables.….format: orc",
    "avro": "Avro: convert it to Parquet",
    "xlsx": "a spreadsheet: save it as CSV",
    "xls": "a spreadsheet: save it as CSV",
    "zip": "an archive: unpack it",
    "7z": "an archive: unpack it",
    "tar": "an archive: unpack it",
}
_IMAGES = (
    "an image: init reads images that are PNG or JPEG bytes in a column of a Parquet table, beside "
    "a column with the label"
)
# Suffixes of files that are no table, and what they are.
_NO_TABLES = {
    **dict.fromkeys(("yaml", "yml"), "a YAML file"),
    **dict.fromkeys(("png", "jpg", "jpeg", "gif", "bmp", "tif", "tiff", "webp"), _IMAGES),
    **dict.fromkeys(("toml", "ini", "cfg", "conf", "env"), "a file of settings"),
    **dict.fromkeys(("py", "ipynb", "sql", "sh", "r", "scala", "java"), "a program"),
    **dict.fromkeys(("md", "rst", "html", "htm", "pdf", "docx", "xml", "log"), "a document"),
    **dict.fromkeys(("keras", "h5", "pkl", "pickle", "npy", "npz", "pt", "joblib"), "no table"),
    "db": "a database: export the table as Parquet or CSV",
    "sqlite": "a database: export the table as Parquet or CSV",
}
_RECIPE_KEYS = re.compile(rb"(?m)^(source|label|features|split|dataset|model)\s*:")
_MAX_SHOWN = 8


@dataclass(frozen=True)
class TableFile:
    """A file of the table.

    Attributes:
        name: the path relative to the table's folder, empty where the table is this one file.
        path: the path on the file system.
        byte_count: its size.
        partition_values: column in the folders' names -> text, None for a null.
    """

    name: str
    path: str
    byte_count: int
    partition_values: Mapping[str, str | None]

    @property
    def is_compressed(self) -> bool:
        return self.path.rpartition(".")[2].lower() in COMPRESSED_SUFFIXES


@dataclass(frozen=True)
class TableFiles:
    """The files of a table, all of one format.

    Attributes:
        path: the table's path, as the caller gave it.
        format: the format of all files.
        files: the files, in the order of their names.
        reader_options: options that Spark's reader needs to find them.
        system: fsspec's file system.
    """

    path: str
    format: Format
    files: tuple[TableFile, ...]
    reader_options: Mapping[str, Any] = field(default_factory=dict)
    system: Any = None

    @property
    def byte_count(self) -> int:
        return sum(file.byte_count for file in self.files)

    def open(self, file: TableFile) -> BinaryIO:
        """Open a file to read its bytes, decompressed.

        Raises:
            LakeError: it cannot be read.
        """
        with explain_table_errors(file.path):
            return self.system.open(file.path, "rb", compression="infer")


def find_table(path: str, format_: str | None) -> TableFiles:
    """Find the files of the table at a path.

    Args:
        path: a folder, a file, a pattern, or a URL.
        format_: the files' format; None to tell it by their names.

    Raises:
        LakeError: there are no files, or they are not one table's files of one format.
        OptionError: there is no such format.
    """
    shown_path = redact_text(path)
    # Of 10,000 Parquet files each footer would be opened.
    listing = list_table(s.Table(path=path), {}, open_footers=False)
    if listing is None:
        raise LakeError(
            f"this machine has no access to {shown_path}: check the store's credentials"
        )
    system, base = open_filesystem(normalize_s3_scheme(path))
    names = sorted(listing.files)
    folder = f"{base}/" if listing.root else "/" * ("file" in system.protocol)
    files = tuple(
        TableFile(
            name=name,
            path=_locate(name, folder, base),
            byte_count=listing.files[name].bytes,
            partition_values=listing.get_values(name) if listing.root else {},
        )
        for name in names
        if listing.files[name].bytes
    )
    if not files:
        raise LakeError(f"the {len(names):,} files at {shown_path} are empty")
    files, options = _select_files(shown_path, files) if listing.root else (files, {})
    table = TableFiles(path, "parquet", files, options, system)
    return TableFiles(path, _determine_format(table, shown_path, format_), files, options, system)


def _locate(name: str, folder: str, base: str) -> str:
    """Return the path of a listed file; a table's log names files elsewhere by their whole path."""
    if not name:
        return base
    return name if name.startswith("/") and folder != "/" else f"{folder}{name}"


def _select_files(
    shown_path: str, files: Sequence[TableFile]
) -> tuple[tuple[TableFile, ...], dict[str, Any]]:
    """Return the files that Spark takes as the table's, and the options that make it take them."""
    table_files = tuple(file for file in files if all("=" in p for p in file.name.split("/")[:-1]))
    if table_files:
        return table_files, {}
    folders = sorted({file.name.split("/")[0] for file in files})
    if all(re.fullmatch(r"[0-9-]+", folder) for folder in folders):  # 2024/01/31
        return tuple(files), {"recursiveFileLookup": True}
    listed = ", ".join(folders[:_MAX_SHOWN]) + (", …" if len(folders) > _MAX_SHOWN else "")
    raise LakeError(
        f"{shown_path} holds no table files, only folders ({listed}); name one of them, "
        f"for example: headrace init {shown_path.rstrip('/')}/{folders[0]}"
    )


def _determine_format(table: TableFiles, shown_path: str, format_: str | None) -> Format:
    first = table.files[0]
    if _get_suffix(first.path) != "parquet" and not first.is_compressed:
        _refuse_recipe(table, shown_path)
    if format_ is not None:
        formats = sorted(set(_SUFFIXES.values()))
        if format_ not in formats:
            raise OptionError(f"--format {format_}: expected one of {', '.join(formats)}")
        return format_
    suffixes = Counter(_get_suffix(file.path) for file in table.files)
    if len(suffixes) > 1:
        counted = ", ".join(
            f"{count:,} {suffix or 'without'}" for suffix, count in sorted(suffixes.items())
        )
        raise LakeError(
            f"{shown_path} holds files of several formats ({counted}), and a table has one; "
            f"name the files you mean, for example: '{shown_path.rstrip('/')}/*.{max(suffixes)}'"
        )
    (suffix,) = suffixes
    if suffix in _UNSUPPORTED:
        raise LakeError(f"{shown_path} is {_UNSUPPORTED[suffix]}")
    if suffix in _NO_TABLES:
        raise LakeError(
            f"{shown_path} is {_NO_TABLES[suffix]}; expected a table: a folder or file of Parquet, "
            "CSV or JSON. If it is one all the same, pass --format"
        )
    return _SUFFIXES.get(suffix) or _detect_format(table, shown_path)


def _refuse_recipe(table: TableFiles, shown_path: str) -> None:
    """Refuse a file that is a recipe.

    Raises:
        LakeError: it has several of a recipe's keys.
    """
    with explain_table_errors(shown_path), table.open(table.files[0]) as stream:
        keys = {*_RECIPE_KEYS.findall(stream.read(2**16))}
    if len(keys) >= 3:
        raise LakeError(
            f"{shown_path} is a recipe, and init writes one for a table; to run it: headrace run "
            f"{shown_path}. For a new one name the table: headrace init TABLE --out FILE"
        )


def _get_suffix(path: str) -> str:
    """Return the format of a path's last suffix, or the suffix where it tells none."""
    suffixes = path.rpartition("/")[2].lower().split(".")[1:]
    while suffixes and suffixes[-1] in COMPRESSED_SUFFIXES:
        suffixes.pop()
    if not suffixes:
        return ""
    last = suffixes[-1]
    return _SUFFIXES.get(last, last)


def _detect_format(table: TableFiles, shown_path: str) -> Format:
    with explain_table_errors(shown_path), table.open(table.files[0]) as stream:
        beginning = stream.read(4096)
    if beginning.startswith(b"PAR1"):
        return "parquet"
    text = beginning.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text[:1] in (b"{", b"["):
        return "json"
    if b"\0" in beginning:
        raise LakeError(
            f"{shown_path}: neither the file names nor the content tell the format; pass --format "
            "parquet, csv or json"
        )
    return "csv"
