"""Keep the long lists of a record in manifests: what changed is written, what is needed is read.

Short lists lie in the record itself, as all did in older formats. Which lists a record has is said
in `build.py` and `score_record.py`; what a manifest is in `manifest.py`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic_core import to_json

from headrace.errors import DamagedError
from headrace.formats import describe_invalid
from headrace.garbage import pause_collection
from headrace.lake.file_columns import FileColumns
from headrace.lake.manifest import (
    Change,
    Key,
    ManifestRef,
    Rows,
    apply_changes,
    merge_changes,
    pack_changes,
    read_changes,
)
from headrace.lake.manifest_merge import choose_merge
from headrace.lake.source_partition import SourceFile

INLINE_BYTES = 8192
"""Bytes of JSON up to which the lists of a record lie in it, where its base has no manifests."""
Value = TypeVar("Value")
Item = TypeVar("Item")


class StoredLists(BaseModel):
    """Where the lists of a record are, and how long they are."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    manifests: dict[str, tuple[ManifestRef, ...]]
    """Kind of lists -> their manifests, the oldest first."""
    counts: dict[str, int]
    """List -> its rows."""


@dataclass(frozen=True)
class ListKind(Generic[Value]):
    """A list of a record.

    Attributes:
        name: the record's field.
        stream: kind of lists; a manifest has lists of one kind.
        split: returns the key and item of each row of a value.
        join: returns the value of such rows.
        dump: returns the JSON of an item, without its key.
        load: returns the item of a key and its JSON; it may raise ValueError or KeyError.
        is_mapping: whether a value is a dict, and no tuple.
    """

    name: str
    stream: str
    split: Callable[[Any], Iterable[tuple[Key, Any]]]
    join: Callable[[list[tuple[Key, Any]]], Value]
    dump: Callable[[Any], dict[str, Any]]
    load: Callable[[Key, dict[str, Any]], Any]
    is_mapping: bool = False


def list_of_models(
    name: str, stream: str, model: type[BaseModel], *key_fields: str
) -> "ListKind[tuple[Any, ...]]":
    """Describe a list of models, in the order of their keys.

    Args:
        name, stream: see `ListKind`.
        model: of an item.
        key_fields: its texts that no two items share.
    """
    excluded = {*key_fields}

    def split(items: Iterable[Any]) -> Iterator[tuple[Key, Any]]:
        return ((tuple(getattr(item, name) for name in key_fields), item) for item in items)

    return ListKind(
        name=name,
        stream=stream,
        split=split,
        join=lambda rows: tuple(item for _, item in rows),
        dump=lambda item: item.model_dump(mode="json", exclude=excluded),
        load=lambda key, row: model.model_validate(dict(zip(key_fields, key, strict=True)) | row),
    )


_COLUMNS: TypeAdapter[FileColumns] = TypeAdapter(FileColumns)


def list_of_file_columns(stream: str) -> "ListKind[dict[str, FileColumns]]":
    """Describe the list of columns of files, by their digest."""
    return ListKind(
        name="file_columns",
        stream=stream,
        split=lambda value: (((digest,), columns) for digest, columns in value.items()),
        join=lambda rows: {key[0]: columns for key, columns in rows},
        dump=lambda columns: {"columns": columns},
        load=lambda _, row: _COLUMNS.validate_python(row["columns"]),
        is_mapping=True,
    )


def list_of_lookups(stream: str) -> "ListKind[dict[str, tuple[SourceFile, ...]]]":
    """Describe the list of joined tables' files; a table without files has a row of its own."""

    def split(value: Mapping[str, Sequence[SourceFile]]) -> Iterator[tuple[Key, Any]]:
        for table, files in value.items():
            yield (table, ""), None
            yield from (((table, file.path), file) for file in files)

    def join(rows: list[tuple[Key, Any]]) -> dict[str, tuple[SourceFile, ...]]:
        tables: dict[str, list[SourceFile]] = {}
        for (table, _), file in rows:
            of_table = tables.setdefault(table, [])
            if file is not None:
                of_table.append(file)
        return {table: tuple(files) for table, files in tables.items()}

    def load(key: Key, row: dict[str, Any]) -> SourceFile | None:
        return SourceFile.model_validate({"path": key[1]} | row) if row else None

    return ListKind(
        name="lookups",
        stream=stream,
        split=split,
        join=join,
        dump=lambda file: file.model_dump(mode="json", exclude={"path"}) if file else {},
        load=load,
        is_mapping=True,
    )


@dataclass
class ListReader:
    """Read the lists of a record, those of one kind together and once.

    Attributes:
        root: folder or URL of the dataset or the predictions.
        stored: where the lists are.
        kinds: of the record.
        build_id: of the record.
        where: the record, in messages.
        known: name of a manifest -> content that needs not be read.
    """

    root: str
    stored: StoredLists
    kinds: "tuple[ListKind[Any], ...]"
    build_id: str
    where: str
    known: Mapping[str, bytes] = field(default_factory=dict)
    _values: dict[str, Any] = field(default_factory=dict)

    def read_list(self, name: str) -> Any:
        """Return the value of a list.

        Raises:
            RemovedError, DamagedError: a manifest is missing, or not what the record says.
            UnreachableError: the store does not answer.
        """
        if name not in self._values:
            stream = next(kind.stream for kind in self.kinds if kind.name == name)
            with pause_collection():
                self._values |= self._read_stream(stream)
        return self._values[name]

    def _read_stream(self, stream: str) -> dict[str, Any]:
        rows: Rows = {}
        refs = self.stored.manifests.get(stream, ())
        for changes in read_changes(self.root, refs, self.known):
            apply_changes(rows, changes)
        unknown = rows.keys() - {kind.name for kind in self.kinds if kind.stream == stream}
        if unknown:
            raise DamagedError(
                f"{self.where}: its manifests have lists that this Headrace does not know: "
                f"{', '.join(sorted(unknown))}; read it with the one that wrote it"
            )
        return {
            kind.name: self._join(kind, rows.get(kind.name, {}))
            for kind in self.kinds
            if kind.stream == stream
        }

    def _join(self, kind: "ListKind[Any]", rows: Mapping[Key, dict[str, Any]]) -> Any:
        expected = self.stored.counts.get(kind.name, 0)
        if len(rows) != expected:
            raise DamagedError(
                f"{self.where} is damaged: its manifests have {len(rows):,} {kind.name}, and it "
                f"says {expected:,}; restore it from a backup, or run `headrace prepare --full`"
            )
        try:
            return kind.join([(key, kind.load(key, rows[key])) for key in sorted(rows)])
        except (ValidationError, ValueError, KeyError, TypeError) as error:
            what = describe_invalid(error) if isinstance(error, ValidationError) else str(error)
            raise DamagedError(
                f"{self.where}: its {kind.name} are damaged or of another Headrace: {what}"
            ) from None


class LazyList(Sequence[Item]):
    """A list that is read when it is first asked for."""

    def __init__(self, reader: ListReader, name: str) -> None:
        """
        Args:
            reader: of the record.
            name: of the list.
        """
        self.reader, self._name = reader, name

    @cached_property
    def _items(self) -> tuple[Item, ...]:
        items: tuple[Item, ...] = self.reader.read_list(self._name)
        return items

    def __getitem__(self, position: Any) -> Any:
        return self._items[position]

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items)

    def __eq__(self, other: object) -> bool:
        return self._items == (tuple(other) if isinstance(other, LazyList) else other)

    def __hash__(self) -> int:
        return hash(self._items)

    def __repr__(self) -> str:
        return repr(self._items)


class LazyMapping(Mapping[str, Item]):
    """A dict that is read when it is first asked for."""

    def __init__(self, reader: ListReader, name: str) -> None:
        """
        Args:
            reader: of the record.
            name: of the list.
        """
        self.reader, self._name = reader, name

    @cached_property
    def _items(self) -> dict[str, Item]:
        items: dict[str, Item] = self.reader.read_list(self._name)
        return items

    def __getitem__(self, key: str) -> Item:
        return self._items[key]

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __repr__(self) -> str:
        return repr(self._items)

    def __or__(self, other: Mapping[str, Item]) -> dict[str, Item]:
        return self._items | dict(other)


def is_stored(value: object, build_id: str | None = None) -> bool:
    """Return whether a list is that of a record that was read.

    Args:
        value: of the list.
        build_id: of the record; None for any.
    """
    return isinstance(value, LazyList | LazyMapping) and (
        build_id is None or value.reader.build_id == build_id
    )


def make_lazy_lists(reader: ListReader) -> dict[str, Any]:
    """Return the fields of a record that are in its manifests."""
    return {
        kind.name: (LazyMapping if kind.is_mapping else LazyList)(reader, kind.name)
        for kind in reader.kinds
    }


def load_list(value: Any) -> Any:
    """Return a list as a plain tuple or dict, read where it is not yet."""
    return value._items if isinstance(value, LazyList | LazyMapping) else value


def store_lists(
    root: str,
    record: Any,
    like: Any | None,
    kinds: "tuple[ListKind[Any], ...]",
    build_id: str,
) -> "tuple[StoredLists | None, dict[str, bytes]]":
    """Return where the lists of a record will be, and the manifests that it has to write for that.

    Args:
        root: folder or URL of the dataset or the predictions.
        record: with the lists.
        like: record that was read, whose manifests are used again where they agree; None for none.
        kinds: of the lists.
        build_id: of the record.

    Returns:
        None where the lists are short and lie in the record itself.

    Raises:
        as `read_manifest`, where manifests are merged.
    """
    stored: StoredLists | None = like.lists if like is not None else None
    if stored is None and _measure_lists(record, kinds) <= INLINE_BYTES:
        return None, {}
    manifests: dict[str, tuple[ManifestRef, ...]] = {}
    counts: dict[str, int] = {}
    contents: dict[str, bytes] = {}
    for stream in sorted({kind.stream for kind in kinds}):
        changes: list[Change] = []
        live = 0
        for kind in kinds:
            if kind.stream != stream:
                continue
            value = getattr(record, kind.name)
            before = getattr(like, kind.name) if like is not None and stored is not None else None
            now = dict(kind.split(value))
            counts[kind.name] = len(now)
            live += len(now)
            if before is not None and before is not value:
                changes += _find_changes(kind, dict(kind.split(before)), now)
            elif before is None:
                changes += [Change(kind.name, key, kind.dump(item)) for key, item in now.items()]
        old = stored.manifests.get(stream, ()) if stored is not None else ()
        kept, packed = _merge(root, stream, old, changes, live, build_id)
        manifests[stream] = (*kept, *(ref for ref, _ in packed))
        contents |= {ref.name: content for ref, content in packed}
    return StoredLists(manifests=manifests, counts=counts), contents


def _find_changes(
    kind: "ListKind[Any]", before: Mapping[Key, Any], now: Mapping[Key, Any]
) -> list[Change]:
    gone = [Change(kind.name, key, None) for key in before.keys() - now.keys()]
    gone.sort(key=lambda change: change.key)
    return gone + [
        Change(kind.name, key, kind.dump(item))
        for key, item in now.items()
        if key not in before or (before[key] is not item and before[key] != item)
    ]


def _merge(
    root: str,
    stream: str,
    old: Sequence[ManifestRef],
    changes: list[Change],
    live: int,
    build_id: str,
) -> tuple[Sequence[ManifestRef], list[tuple[ManifestRef, bytes]]]:
    """Return the manifests that stay, and those to be written."""
    if not changes:
        return old, []
    start, level = choose_merge(old, len(changes), live)
    merged = [change for part in read_changes(root, old[start:]) for change in part]
    all_changes = merge_changes([*merged, *changes], is_whole=start == 0)
    return old[:start], pack_changes(stream, all_changes, build_id, level)


def _measure_lists(record: Any, kinds: "tuple[ListKind[Any], ...]") -> int:
    """Return about how many bytes of JSON the lists have; not more than it needs to tell."""
    size = 0
    for kind in kinds:
        for key, item in kind.split(getattr(record, kind.name)):
            size += len(to_json([key, kind.dump(item)]))
            if size > INLINE_BYTES:
                return size
    return size
