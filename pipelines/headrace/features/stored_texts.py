"""Hold a vocabulary that lies in a file beside `transform.json`: a name and a size, until a text is
asked for.

A million texts and fewer are in `transform.json` itself. Of more it has the name of a `text_file`
and how many of its first texts are meant: ids are ordered by count, so features of one column with
other limits share the file. Where a file lies is told by a `TextFiles`, which whoever reads the
transform has to have: what is asked for sizes alone never opens it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, overload

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from headrace.columns.statistics import TextCounts
from headrace.errors import DamagedError, DatasetError, RemovedError
from headrace.features.kind import CountLimits
from headrace.features.text_file import NAME_PATTERN, open_text_file, split_texts
from headrace.features.text_index import TextIndex

INLINE_TEXTS = 1_000_000
"""Most texts of a vocabulary that `transform.json` itself has: 17 MB of JSON, read in 0.3 s."""


class TextFiles(Protocol):
    """Tell where the files of a transform lie; of a hashable type that can be pickled."""

    def locate_file(self, name: str) -> str:
        """Return the path on this machine of the file of a name.

        Raises:
            DatasetError: there is no such file.
        """

    def __hash__(self) -> int: ...


@dataclass(frozen=True)
class TextFolder:
    """Files in a folder of this machine.

    Attributes:
        folder: its path.
        where: whose files they are, in messages.
    """

    folder: str
    where: str = "the transform"

    def locate_file(self, name: str) -> str:
        """Return the path of the file of a name; see `TextFiles`."""
        path = Path(self.folder) / name
        if not path.is_file():
            raise RemovedError(
                f"{self.where}: {name}, the file of a vocabulary, is missing in {self.folder}; "
                "restore it beside transform.json"
            )
        return str(path)


class _Reference(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    file: str = Field(pattern=f"^{NAME_PATTERN}$")
    size: int = Field(ge=1, lt=2**31)


class StoredTexts(Sequence[str]):
    """The first texts of a file, in the order of their ids."""

    def __init__(self, file: str, size: int, files: TextFiles | None = None) -> None:
        """
        Args:
            file: its name.
            size: how many of its first texts.
            files: tells where it lies; None where nobody will ask for a text.
        """
        self.file, self.size, self.files = file, size, files
        self._index: TextIndex | None = None

    def open_index(self) -> TextIndex:
        """Return the index of the texts, mapped into memory once in a process.

        Raises:
            DatasetError: nobody told where the file is, or it is missing.
            DamagedError: it is not the one that was written, or shorter.
        """
        if self._index is not None:  # the file may be gone, and is mapped all the same
            return self._index
        if self.files is None:
            raise DatasetError(
                f"a vocabulary of {self.size:,} texts lies in {self.file}, a file beside "
                "transform.json, and the transform was read without the files beside it"
            )
        index = open_text_file(self.files.locate_file(self.file), self.file)
        if self.size > len(index.texts):
            raise DamagedError(
                f"{self.file} has {len(index.texts):,} texts, and transform.json names "
                f"{self.size:,}; restore both from a backup, or run `headrace prepare --refit`"
            )
        self._index = TextIndex(index.texts, index.hashes, index.positions, self.size)
        return self._index

    def list_chunks(self) -> Iterator[pa.Array]:
        """Yield all texts, some at once, as string arrays."""
        yield from split_texts(self.open_index().texts.slice(0, self.size))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_index": None}

    def __len__(self) -> int:
        return self.size

    @overload
    def __getitem__(self, key: int) -> str: ...
    @overload
    def __getitem__(self, key: slice) -> tuple[str, ...]: ...
    def __getitem__(self, key: int | slice) -> str | tuple[str, ...]:
        texts = self.open_index().texts
        if isinstance(key, slice):
            positions = range(self.size)[key]
            return tuple(texts.take(pa.array(positions, pa.int64())).to_pylist())
        return str(texts[range(self.size)[key]].as_py())

    def __iter__(self) -> Iterator[str]:
        for chunk in self.list_chunks():
            yield from chunk.to_pylist()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StoredTexts) and (self.file, self.size) == (other.file, other.size)

    def __hash__(self) -> int:
        return hash((self.file, self.size))

    def __repr__(self) -> str:
        return f"StoredTexts({self.file!r}, {self.size})"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Return how pydantic reads it: from its name and size, with the files of the context."""

        def read(value: Any, info: core_schema.ValidationInfo) -> "StoredTexts":
            if isinstance(value, StoredTexts):
                return value
            reference = _Reference.model_validate(value)
            return cls(reference.file, reference.size, info.context)

        return core_schema.with_info_plain_validator_function(
            read,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda texts: {"file": texts.file, "size": texts.size}
            ),
        )


def is_stored(value: object) -> bool:
    """Return whether a value is texts in a file, or a tree that names them."""
    return isinstance(value, StoredTexts | Mapping)


@dataclass(frozen=True)
class StoredTextCounts(TextCounts):
    """Counts of texts that lie in a file: the table has some of the most frequent alone.

    Attributes:
        file: the name of the file.
        sizes: min_count -> how many of its first texts occur as often.
        files: tells where it lies.
    """

    file: str = ""
    sizes: Mapping[int, int] = field(default_factory=dict)
    files: TextFiles | None = None

    def list_most_frequent(
        self, min_count: int = 1, max_size: int | None = None
    ) -> list[tuple[str, int]]:
        """Return the most frequent texts and their counts.

        Raises:
            ValueError: more are asked for than are known.
        """
        if max_size is None or max_size > self.table.num_rows:
            raise ValueError(f"{max_size} texts are asked for, {self.table.num_rows} are known")
        return super().list_most_frequent(min_count, max_size)

    def select_texts(self, limits: CountLimits) -> tuple[str, ...] | StoredTexts:
        """Return the texts within limits, most frequent first; themselves where they are few."""
        size = self.sizes[limits.min_count]
        size = size if limits.max_size is None else min(size, limits.max_size)
        texts = StoredTexts(self.file, max(size, 1), self.files)
        return texts if size > INLINE_TEXTS else texts[:size]
