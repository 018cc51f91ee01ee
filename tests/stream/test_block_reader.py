"""The choice of an engine: only that one is imported, and a missing one is told in one line."""

import importlib
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import get_args

import fsspec
import pytest

from headrace.errors import StreamError
from headrace.recipe.sections import Stream
from headrace.stream.batch_assembly import BatchAssembly
from headrace.stream.block_reader import PETASTORM_RELEASE, Engine, check_engine, open_block_reader
from headrace.stream.buffer_pool import BufferPool
from headrace.stream.footers import FooterCache
from headrace.stream.plan import Block, EpochPlan
from headrace.stream.row_ranges import RowRange
from headrace.stream.worker import BlockTask
from tests.stream.rows import COLUMNS, make_stream, write_files

ROOT = Path(__file__).parents[2]
ENGINES: tuple[Engine, ...] = get_args(Engine)
MISSING = (
    f"stream.engine is petastorm, and Petastorm cannot be imported (%s); run pip install "
    f"petastorm=={PETASTORM_RELEASE}, or set stream.engine: pyarrow, which reads the same batches"
)
# Whoever so much as tries to import Petastorm fails.
BLOCKER = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "petastorm":
            raise AssertionError(f"{name} was imported")
sys.meta_path.insert(0, Blocker())
from pathlib import Path
from tests.stream.rows import list_row_ids, make_stream, write_files
root = Path(sys.argv[1])
stream = make_stream(root, write_files(root, [[30, 7], [20]]), engine=sys.argv[2])
"""


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as executor:
        yield executor


@pytest.fixture
def no_petastorm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Petastorm is not installed, as far as this process knows."""
    for name in [*sys.modules]:
        if name.partition(".")[0] == "petastorm" or name.startswith("headrace.stream.petastorm_"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "petastorm", None)


def make_tasks(root: Path) -> list[BlockTask]:
    """Make the tasks of 5 rows in two blocks, of which the second one lies in two row groups."""
    files = write_files(root, [[3, 2]])
    blocks = (
        Block(0, 0, (RowRange(0, 0, 0, 2),), None),
        Block(0, 2, (RowRange(0, 0, 2, 3), RowRange(0, 1, 0, 2)), None),
    )
    pools = BufferPool(COLUMNS), BufferPool(COLUMNS, "weight")
    assembly = BatchAssembly(
        EpochPlan({0: blocks}, slice_rows=5, steps=1), range(1), 0, 1, pools[1]
    )
    paths = {0: f"{root}/{files[0].path}"}
    footers = FooterCache()
    return [BlockTask(b, COLUMNS, paths, files, footers, pools[0], assembly) for b in blocks]


def test_the_recipe_has_every_engine_and_petastorm_by_default() -> None:
    annotation = Stream.model_fields["engine"].annotation
    assert get_args(annotation) == ENGINES
    assert Stream().engine == "petastorm"


@pytest.mark.parametrize("engine", ENGINES)
def test_blocks_are_returned_in_planned_order(
    tmp_path: Path, threads: ThreadPoolExecutor, engine: Engine
) -> None:
    tasks = make_tasks(tmp_path)
    reader = open_block_reader(
        engine, fsspec.filesystem("file"), tasks, threads=threads, prefetch=1
    )
    assert not reader.has_submitted_all
    first, second = reader.read_block(), reader.read_block()
    assert first is not None
    assert second is not None
    assert (first.block, second.block) == (tasks[0].block, tasks[1].block)
    assert (first.checksums["row_id"], second.checksums["row_id"]) == (0 + 1, 2 + 3 + 4)
    assert reader.has_submitted_all
    assert reader.read_block() is None
    reader.close()
    assert tasks[0].assembly.pop_stack(0)["row_id"].tolist() == [[0, 1, 2, 3, 4]]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_closed_reader_begins_no_further_block(
    tmp_path: Path, threads: ThreadPoolExecutor, engine: Engine
) -> None:
    tasks = make_tasks(tmp_path)
    reader = open_block_reader(
        engine, fsspec.filesystem("file"), tasks, threads=threads, prefetch=1
    )
    reader.close()
    (tmp_path / "part-000.parquet").unlink()  # nobody has it open, or will open it
    assert not reader.has_submitted_all


def run_blocked(folder: Path, engine: str, code: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", BLOCKER + code, str(folder), engine],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    "others",
    [
        "",
        pytest.param(
            "headrace.train.rank_training, headrace.evaluate.rank", marks=pytest.mark.long
        ),
    ],
)
def test_the_pyarrow_engine_imports_nothing_of_petastorm(tmp_path: Path, others: str) -> None:
    code = (
        "print(sorted(i for batch in stream.read_batches(0) for i in list_row_ids(batch)))\n"
        f"import {others or 'headrace.stream.plain_parquet'}\n"
        "assert not [name for name in sys.modules if name.startswith('petastorm')]\n"
    )
    done = run_blocked(tmp_path, "pyarrow", code)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{[*range(57)]}\n"


def test_the_blocker_sees_the_import_of_the_other_engine(tmp_path: Path) -> None:
    done = run_blocked(tmp_path, "petastorm", "next(stream.read_batches(0))")
    assert done.returncode == 1
    assert "petastorm was imported" in done.stderr


def test_an_unknown_engine_is_refused(tmp_path: Path) -> None:
    stream = make_stream(tmp_path, write_files(tmp_path, [[5]]), engine="polars")
    with pytest.raises(StreamError, match=r"no engine 'polars' .*; take petastorm or pyarrow"):
        next(stream.read_batches(0))


@pytest.mark.usefixtures("no_petastorm")
def test_a_missing_petastorm_is_said_in_one_line(tmp_path: Path) -> None:
    files = write_files(tmp_path, [[30, 7], [20]])
    with pytest.raises(StreamError) as missing:
        list(make_stream(tmp_path, files, engine="petastorm").read_batches(0))
    assert str(missing.value) == MISSING % "it is not installed"
    assert len(list(make_stream(tmp_path, files, engine="pyarrow").read_batches(0))) == 2


@pytest.mark.usefixtures("no_petastorm")
def test_a_petastorm_that_does_not_fit_is_told_with_its_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it would be on a pyarrow that removed one name more: no ImportError, and installed."""

    package = tmp_path / "site" / "petastorm"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("import pyarrow\npyarrow.NameOfThePast\n")
    monkeypatch.delitem(sys.modules, "petastorm")
    monkeypatch.syspath_prepend(str(package.parent))
    importlib.invalidate_caches()
    check_engine("petastorm")
    files = write_files(tmp_path, [[5]])
    cause = "AttributeError: module 'pyarrow' has no attribute 'NameOfThePast'"
    with pytest.raises(StreamError) as unfit:
        list(make_stream(tmp_path, files, engine="petastorm").read_batches(0))
    assert str(unfit.value) == MISSING % cause


def test_the_release_that_is_named_is_the_one_that_is_required() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project.get("optional-dependencies", {}).values()
    requirements = [*project["dependencies"], *(item for extra in extras for item in extra)]
    assert f"petastorm=={PETASTORM_RELEASE}" in requirements
