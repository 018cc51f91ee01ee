"""Both engines give the same batches and the same errors, for any dataset, plan and rank."""

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.errors import StreamError
from headrace.lake.data_file import DataFile
from headrace.stream.cache import DiskCache, MemoryCache
from tests.stream.rows import make_stream, reindex_file, write_files

# Files of more than ten row groups, too: by name they would be sorted otherwise than by number.
LAYOUTS = st.lists(
    st.lists(st.integers(0, 40), min_size=1, max_size=12), min_size=1, max_size=11
).filter(lambda layout: 0 < sum(map(sum, layout)) < 250)


@dataclass
class Read:
    """What reading gave: the bytes of each batch, and the error that ended it."""

    batches: list[str] = field(default_factory=list)
    error: str = ""


@st.composite
def draw_options(draw: st.DrawFn) -> dict[str, Any]:
    """Draw the options of a stream, but for its rank and engine."""
    shards = draw(st.sampled_from([4, 8]))
    return {
        "canonical_shards": shards,
        "global_batch_size": shards * draw(st.integers(1, 5)),
        "block_rows": draw(st.integers(1, 60)),
        "readers": draw(st.integers(1, 3)),
        "shuffle": draw(st.booleans()),
        "drop_last": draw(st.booleans()),
        "seed": draw(st.integers(0, 3)),
    }


def read(root: Path, files: tuple[DataFile, ...], first_step: int = 0, **options: Any) -> Read:
    """Read two epochs with one engine, from a step of the first one on, up to an error."""
    result = Read()
    try:
        stream = make_stream(root, files, **options)
        for batch in stream.read_epochs([3, 4], first_step):
            state = hashlib.sha256()
            for name in sorted(batch):
                state.update(f"{name} {batch[name].dtype} {batch[name].shape}".encode())
                state.update(np.ascontiguousarray(batch[name]).tobytes())
            result.batches.append(state.hexdigest())
    except StreamError as error:
        result.error = str(error)
    return result


@pytest.fixture
def folder() -> Iterator[Callable[[], Path]]:
    """Folders that are removed at the end; hypothesis needs one for every example."""
    with tempfile.TemporaryDirectory() as root:
        yield lambda: Path(tempfile.mkdtemp(dir=root))


def check_batches(
    root: Path, layout: list[list[int]], size: int, resume: float, options: dict[str, Any]
) -> None:
    files = write_files(root, layout)
    if options["drop_last"] and sum(map(sum, layout)) < options["global_batch_size"]:
        errors = [read(root, files, engine=e, **options).error for e in ("petastorm", "pyarrow")]
        assert errors[0] == errors[1]
        assert "do not fill a batch" in errors[0]
        return
    steps = make_stream(root, files, **options).steps
    first = int(resume * steps)
    for rank in range(size):
        own = {**options, "rank": rank, "size": size}
        petastorm = read(root, files, engine="petastorm", **own)
        assert petastorm.error == ""
        assert len(petastorm.batches) == 2 * steps
        assert read(root, files, engine="pyarrow", **own) == petastorm
        # Either engine resumes what the other one began.
        for engine in ("petastorm", "pyarrow"):
            rest = read(root, files, first, engine=engine, **own)
            assert rest == Read(petastorm.batches[first:])


RANKS, RESUMES = st.sampled_from([1, 2, 4]), st.floats(0, 0.999)


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(LAYOUTS, RANKS, RESUMES, draw_options())
def test_batches_are_the_same_to_the_byte(
    folder: Callable[[], Path], layout: list[list[int]], size: int, resume: float, options: Any
) -> None:
    check_batches(folder(), layout, size, resume, options)


@pytest.mark.long
@settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(LAYOUTS, RANKS, RESUMES, draw_options())
def test_batches_are_the_same_to_the_byte_in_many_examples(
    folder: Callable[[], Path], layout: list[list[int]], size: int, resume: float, options: Any
) -> None:
    check_batches(folder(), layout, size, resume, options)


def remove(path: Path) -> None:
    path.unlink()


def put_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def flip_a_bit_of_a_page(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 4] ^= 1
    path.write_bytes(content)


def flip_a_bit_of_the_footer(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)


def zero_the_pages(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4 : len(content) // 3] = bytes(len(content) // 3 - 4)
    path.write_bytes(content)


def rewrite(path: Path) -> None:
    write_files(path.parent / "other", [[7]], first=1000)
    shutil.copy(path.parent / "other" / "part-000.parquet", path)


DAMAGES = {
    remove: "missing",
    put_a_folder: "is a directory",
    truncate: "bytes, the dataset version says",
    empty: "has 0 bytes, the dataset version says",
    flip_a_bit_of_a_page: "part-00",
    flip_a_bit_of_the_footer: "has another footer",
    zero_the_pages: "cannot be read",
    rewrite: "bytes, the dataset version says",
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("number", [0, 2])
def test_a_damaged_file_is_the_same_error_after_the_same_batches(
    tmp_path: Path, damage: Callable[[Path], None], number: int
) -> None:
    files = write_files(tmp_path, [[20, 20], [25], [30]])
    (tmp_path / "other").mkdir()
    damage(tmp_path / files[number].path)
    for size in (1, 2):
        for rank in range(size):
            own = {"rank": rank, "size": size, "block_rows": 5}
            petastorm = read(tmp_path, files, engine="petastorm", **own)
            assert read(tmp_path, files, engine="pyarrow", **own) == petastorm
            if petastorm.error or size == 1:  # of two ranks one may not need the file
                assert files[number].path in petastorm.error
                assert DAMAGES[damage] in petastorm.error
                assert "\n" not in petastorm.error


def test_a_column_that_is_missing_is_the_same_error(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    files = write_files(tmp_path, [[20], [20]], checksums=False)
    path = tmp_path / files[1].path
    pq.write_table(pq.read_table(path).drop_columns(["label"]), path)
    files = (files[0], reindex_file(files[1], tmp_path, footer=False))
    petastorm, pyarrow = (read(tmp_path, files, engine=e) for e in ("petastorm", "pyarrow"))
    assert petastorm == pyarrow
    assert petastorm.error == f"{path} has no column 'label'"


@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_what_one_engine_cached_the_other_one_reads(tmp_path: Path, kind: str) -> None:
    """The files are damaged after the first read: whoever reads them again fails."""
    files = write_files(tmp_path, [[20, 20], [25]])
    for first, second in (("petastorm", "pyarrow"), ("pyarrow", "petastorm")):
        folder = str(tmp_path / "cache" / first)
        cache = MemoryCache(10**7) if kind == "memory" else DiskCache(folder, 10**7)
        expected = read(tmp_path, files, engine=first, cache=cache)
        whole = {file.path: (tmp_path / file.path).read_bytes() for file in files}
        for file in files:
            zero_the_pages(tmp_path / file.path)
        assert read(tmp_path, files, engine=second).error
        assert read(tmp_path, files, engine=second, cache=cache) == expected
        for name, content in whole.items():
            (tmp_path / name).write_bytes(content)
