"""Read plain CSV files as texts, as Spark reads them, or say what only Spark reads right.

A file is plain where no character has a meaning but the separator and the end of a line, and each
line has a field for each column: no quotes, no empty lines, nothing that is no UTF-8.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.csv

from headrace.source.local.needs_spark import NeedsSparkError

MOST_BYTES = 64 * 2**20
"""Of all files of a table; larger ones are left to Spark, which does not hold them in memory."""
_MOST_COLUMNS = 10_000
_QUOTE, _REPLACEMENT, _BYTE_ORDER_MARK = b'"', "\ufffd".encode(), b"\xef\xbb\xbf"


@dataclass(frozen=True)
class CsvSettings:
    """How a table's lines are read.

    Attributes:
        separator: of fields, one character.
        null: the field that is null, beside the empty one.
    """

    separator: str = ","
    null: str = ""

    @staticmethod
    def from_options(options: Mapping[str, object]) -> "CsvSettings":
        """Return the settings of a recipe's options.

        Raises:
            NeedsSparkError: there are others.
        """
        own = {key.lower(): value for key, value in options.items()}
        if own.pop("header", True) is not True:
            raise NeedsSparkError("files of CSV have no header line")
        separator = own.pop("sep", own.pop("delimiter", ","))
        null = own.pop("nullvalue", "")
        own.pop("escape", None)  # it has a meaning within quotes alone
        if own or not isinstance(separator, str) or separator not in (",", ";", "\t", "|"):
            raise NeedsSparkError("source.tables has options of CSV that Spark alone knows")
        if not isinstance(null, str) or null != null.strip():
            raise NeedsSparkError(f"options.nullValue is {null!r}")
        return CsvSettings(separator, null)


def read_csv_file(path: str, settings: CsvSettings) -> pa.Table:
    """Read a file.

    Returns:
        a table of texts, with nulls.

    Raises:
        NeedsSparkError: it is not plain.
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:  # noqa: PTH123  # the listing's path, as a text
        content = file.read().replace(b"\r\n", b"\n")
    header, _, lines = content.partition(b"\n")
    names = _read_names(path, header, settings)
    refuse_odd_bytes(path, content)
    if lines and _has_blank_line(lines):
        raise NeedsSparkError(f"{path} has empty lines")
    if not lines:
        return pa.table({name: pa.array([], pa.string()) for name in names})
    if len(names) == 1:
        raise NeedsSparkError(f"{path} has one column")
    try:
        table = pyarrow.csv.read_csv(
            io.BytesIO(lines),
            read_options=pyarrow.csv.ReadOptions(column_names=names, use_threads=False),
            parse_options=pyarrow.csv.ParseOptions(
                delimiter=settings.separator, quote_char=False, escape_char=False
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                null_values=["", settings.null],
                strings_can_be_null=True,
            ),
        )
    except pa.ArrowInvalid:
        raise NeedsSparkError(f"{path} has lines of more or fewer fields than columns") from None
    return table.combine_chunks()


def refuse_odd_bytes(path: str, content: bytes) -> None:
    """Refuse what Spark reads in a way of its own, or marks as doubtful."""
    if _QUOTE in content:
        raise NeedsSparkError(f"{path} has quotes")
    if b"\r" in content or b"\0" in content or content.startswith(_BYTE_ORDER_MARK):
        raise NeedsSparkError(f"{path} has other ends of lines, or a mark of its encoding")
    if _REPLACEMENT in content:
        raise NeedsSparkError(f"{path} has texts that were no UTF-8")
    try:
        content.decode()
    except UnicodeDecodeError:
        raise NeedsSparkError(f"{path} is no UTF-8") from None


def _read_names(path: str, header: bytes, settings: CsvSettings) -> list[str]:
    try:
        names = header.decode().split(settings.separator)
    except UnicodeDecodeError:
        raise NeedsSparkError(f"{path} is no UTF-8") from None
    plain = all(name and name == name.strip() for name in names)
    is_unique = len({name.lower() for name in names}) == len(names)
    if not plain or not is_unique or settings.null in names or len(names) > _MOST_COLUMNS:
        raise NeedsSparkError(f"the header line of {path} has empty, padded or equal names")
    return names


def _has_blank_line(lines: bytes) -> bool:
    """Return whether a line has white space alone, which Spark passes over."""
    return any(not line.strip() for line in lines.removesuffix(b"\n").split(b"\n"))
