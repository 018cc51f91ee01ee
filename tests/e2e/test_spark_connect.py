"""Prepare and score through a Spark Connect server: the same as with a Spark of this machine, and
clear words where the server is gone, refuses, or cannot run what it is sent."""

import copy
import hashlib
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from deltalake import DeltaTable

from headrace.lake import DatasetVersion
from tests.e2e.cluster import free_port
from tests.e2e.connect_server import ConnectServer
from tests.e2e.running import BIN, Done, headrace
from tests.prepare.daily import TREE, day_of, write_day, write_places

pytestmark = [pytest.mark.e2e, pytest.mark.long]
RULES = [
    {"kind": "range", "column": "x", "min": 0},
    {"kind": "regex", "column": "place", "pattern": "^(?!c)\\p{Lower}$"},
    {"kind": "expr", "expression": "event % 97 <> 3 or hash(event) = 7", "name": "chosen"},
    {"kind": "not_null", "columns": ["x"], "on_violation": "drop"},
]
# Adds 256 million numbers for each row, which takes seconds.
SLOW = (
    "aggregate(sequence(1, 16000), bigint(event), (a, i) -> a + "
    "aggregate(sequence(1, 16000), 0L, (b, j) -> b + j)) is not null"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConnectServer]:
    with ConnectServer(tmp_path_factory.mktemp("connect")) as server:
        yield server


def write_recipe(workdir: Path, **sections: Any) -> str:
    """The recipe of the daily lake, with rules of every kind; and its first two days."""
    tree = copy.deepcopy(TREE) | sections
    tree["clean"] = {**tree["clean"], "rules": RULES} | sections.get("clean", {})
    tree["source"]["tables"]["events"]["where"] = "event % 50 <> 49"
    tree["train"] = {"epochs": 2, "ranks": 1, "global_batch_size": 32}
    tree["score"] = {"columns": ["place", "x"]}
    if not (workdir / "lake").exists():
        write_places(workdir)
        for day in (1, 2):
            write_day(workdir, day)
    (workdir / "daily.yaml").write_text(yaml.safe_dump(tree))
    return str(workdir / "daily.yaml")


def prepare(workdir: Path, recipe: str, *options: str, **environment: str) -> Done:
    return headrace("prepare", recipe, "--workdir", str(workdir), "--json", *options, **environment)


@dataclass(frozen=True)
class Road:
    """What two builds and two jobs of scoring left in a working directory."""

    workdir: Path
    first: Done
    increment: Done

    def open(self, version: int | None = None) -> DatasetVersion:
        return DatasetVersion.open(str(self.workdir / "dataset"), version)


def walk_road(workdir: Path, **environment: str) -> Road:
    recipe = write_recipe(workdir)
    first = prepare(workdir, recipe, **environment)
    assert first.code == 0, first.err
    write_day(workdir, 3)
    # A row of another day's key, which is newer there.
    write_day(workdir, 2, day_of(2), day_of(2, rows=5, first=1005, at=500))
    increment = prepare(workdir, recipe, **environment)
    assert increment.code == 0, increment.err
    return Road(workdir, first, increment)


@pytest.fixture(scope="module")
def classic(tmp_path_factory: pytest.TempPathFactory) -> Road:
    return walk_road(tmp_path_factory.mktemp("classic"))


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory, server: ConnectServer) -> Road:
    return walk_road(tmp_path_factory.mktemp("remote"), SPARK_REMOTE=server.url)


@pytest.fixture(scope="module")
def trained(classic: Road) -> Road:
    recipe = str(classic.workdir / "daily.yaml")
    done = headrace("train", recipe, "--workdir", str(classic.workdir), "--json")
    assert done.code == 0, done.err
    return classic


def digest_files(version: DatasetVersion) -> dict[str, str]:
    """Name of a file, without its build and attempt -> digest of its bytes."""
    digests = {}
    for file in version.build.files:
        build = file.path.rpartition("/")[2].removeprefix("part-")[:24]
        content = Path(version.root, file.path).read_bytes()
        name = file.path.replace(build, "").rpartition("-")[0]
        digests[f"{file.partition} {name}"] = hashlib.sha256(content).hexdigest()
    return digests


@pytest.mark.parametrize("version", [0, 1])
def test_datasets_are_equal_to_the_last_byte(classic: Road, remote: Road, version: int) -> None:
    here, there = classic.open(version), remote.open(version)
    assert there.build.ledger == here.build.ledger
    assert there.transform_json == here.transform_json
    assert digest_files(there) == digest_files(here)
    assert len(digest_files(here)) > 6
    assert there.build.crossings == here.build.crossings
    assert sum(here.build.ledger.quarantined.values()) > 0


def test_an_increment_reads_what_changed(classic: Road, remote: Road) -> None:
    assert remote.first.result["processed"]["read"] == 300
    assert remote.open(0).build.ledger.duplicates == 0
    assert remote.open(1).build.ledger.duplicates == 2  # 5 rows came again, 3 of them negative
    for road in (classic, remote):
        assert road.increment.result["why"] == classic.increment.result["why"]
        assert road.increment.result["processed"] == classic.increment.result["processed"]


def test_rejected_rows_are_the_same(classic: Road, remote: Road) -> None:
    rows = [
        pd.read_parquet(road.increment.result["quarantine"])
        .astype({"quarantine_rules": str, "quarantine_reasons": str})
        .sort_values(["event", "at"], ignore_index=True)
        for road in (classic, remote)
    ]
    assert {*rows[0]["quarantine_rules"]} == {"['range(x)']", "['chosen']"}
    assert len(rows[0]) == 17
    pd.testing.assert_frame_equal(*rows)


def test_predictions_are_the_same(trained: Road, server: ConnectServer) -> None:
    recipe, lake = str(trained.workdir / "daily.yaml"), str(trained.workdir / "lake/events")
    frames = []
    for output, environment in (("here", {}), ("there", {"SPARK_REMOTE": server.url})):
        done = headrace(
            "score", recipe, "--input", lake, "--output", str(trained.workdir / output),
            "--model", "models:/daily/1", "--workdir", str(trained.workdir), "--json",
            **environment,
        )  # fmt: skip
        assert done.code == 0, done.err
        frames.append(read_predictions(trained.workdir / output))
        assert done.result["ledger"]["quarantined"]
    assert len(frames[0]) > 300
    pd.testing.assert_frame_equal(*frames)


def read_predictions(root: Path) -> pd.DataFrame:
    files = DeltaTable(str(root)).get_add_actions(flatten=True)["path"].to_pylist()
    frame = pd.concat([pd.read_parquet(root / str(f), partitioning=None) for f in files])
    columns = [c for c in frame.columns if c != "scored_at"]
    return frame[columns].sort_values(["event", "x"], ignore_index=True)


def test_the_recipe_may_name_the_server(tmp_path: Path, server: ConnectServer) -> None:
    secret = "dapi-very-secret"  # a server without TLS refuses tokens, so that it goes by its user
    spark = {"remote": f"{server.url}/;user_id=me;x-api-key={secret}"}
    done = prepare(tmp_path, write_recipe(tmp_path, spark=spark))
    assert done.code == 0, done.err
    assert f"connecting to Spark at {server.url} (spark.remote)" in done.err
    assert secret not in done.out + done.err
    written = [p for p in tmp_path.rglob("*") if p.is_file() and p.name != "daily.yaml"]
    assert [p for p in written if secret.encode() in p.read_bytes()] == []


def test_a_table_of_the_servers_catalog(tmp_path: Path, server: ConnectServer) -> None:
    """Its files spell a column otherwise than it declares, and a day is below another name."""
    recipe = write_recipe(tmp_path)
    for file in (tmp_path / "lake/events").rglob("*.parquet"):
        table = pd.read_parquet(file, partitioning=None).rename(columns={"x": "X"})
        table.to_parquet(file, index=False)
    ask_server(
        server,
        "create table events (event bigint, at bigint, x double, place string, y boolean, day int)"
        f" using parquet partitioned by (day) location '{tmp_path}/lake/events'",
        "msck repair table events",
        "create view some as select * from events where event % 2 = 0",
    )
    try:
        options = ("--set", "source.tables.events={table: events, where: event % 50 <> 49}")
        done = prepare(tmp_path, recipe, *options, SPARK_REMOTE=server.url)
        assert done.code == 0, done.err
        assert done.result["ledger"]["read"] == 300
        assert "violation" not in done.err
        # Every x is read: none is null, so that no row is dropped for it.
        assert done.result["ledger"]["filtered"].get("not_null(x)", 0) == 0
        options = ("--set", "source.tables.events={table: some}")
        done = prepare(tmp_path, recipe, *options, SPARK_REMOTE=server.url)
        assert done.code == 1
        assert "it is a view of a table that declares column 'x'" in done.err
    finally:
        ask_server(server, "drop view some", "drop table events")


def ask_server(server: ConnectServer, *statements: str) -> None:
    """Run SQL in another process: one with a session of its own kind cannot have another's."""
    program = (
        "import sys; from pyspark.sql import SparkSession\n"
        "spark = SparkSession.builder.remote(sys.argv[1]).getOrCreate()\n"
        "for text in sys.argv[2:]: spark.sql(text).collect()\n"
    )
    subprocess.run([sys.executable, "-c", program, server.url, *statements], check=True)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ('clean.rules=[{kind: expr, expression: "hash(nowhere) > 1"}]',
         "clean.rules.0 (expr): [UNRESOLVED_COLUMN.WITH_SUGGESTION] A column, variable, or "
         "function parameter with name `nowhere` cannot be resolved"),
        ('clean.rules=[{kind: expr, expression: "x >> > 1"}]',
         "clean.rules.0 (expr): [PARSE_SYNTAX_ERROR] Syntax error at or near '>'"),
        ('clean.rules=[{kind: regex, column: place, pattern: "(?<a)b"}]', "clean.rules.0 (regex)"),
        ("source.tables.events.where=hash(nowhere) = 1",
         "source.tables.events.where (hash(nowhere) = 1)"),
        ("label.expression=y + 1", "label.expression (y + 1)"),
        ("source.tables.events.partitions=x > 1", "uses columns that are no partition columns"),
        ("source.tables.places.path=/nowhere", "there is nothing at /nowhere"),
    ],
    ids=lambda value: value[:30],
)  # fmt: skip
def test_an_error_says_where_as_it_does_here(
    tmp_path: Path, server: ConnectServer, option: str, message: str
) -> None:
    recipe = write_recipe(tmp_path)
    there = prepare(tmp_path, recipe, "--set", option, SPARK_REMOTE=server.url)
    assert there.code in (1, 2), there.err
    assert message in there.result["error"]["message"], there.err
    assert "JVM stacktrace" not in there.err
    assert "Traceback" not in there.err


def test_many_checks_and_long_conditions(tmp_path: Path, server: ConnectServer) -> None:
    """A message of some fifty levels is the deepest that is read: 70 checks, and 90 conditions."""
    rules = [{"kind": "expr", "expression": f"event <> {1000 + i}"} for i in range(70)]
    rules += [{"kind": "expr", "expression": " and ".join(f"x <> {i}.5" for i in range(90))}]
    rules += [{"kind": "not_null", "columns": ["event", "at", "x", "y"], "on_violation": "drop"}]
    recipe = write_recipe(tmp_path, clean={"rules": rules})
    done = prepare(tmp_path, recipe, SPARK_REMOTE=server.url)
    assert done.code == 0, done.err
    assert (
        sum(done.result["ledger"]["quarantined"].values()) == 69
    )  # one of them `where` leaves out


def test_an_increments_partitions_are_chosen_by_their_folders(
    tmp_path: Path, server: ConnectServer
) -> None:
    recipe = write_recipe(tmp_path)
    option = ("--set", "source.tables.events.partitions=day = 2")
    done = prepare(tmp_path, recipe, *option, SPARK_REMOTE=server.url)
    assert done.code == 0, done.err
    assert done.result["ledger"]["read"] == 150


@contextmanager
def slow_build(workdir: Path, server: ConnectServer) -> Iterator[subprocess.Popen]:
    """A build while the server works on its rows, of which each takes seconds."""
    recipe = write_recipe(workdir, clean={"rules": [{"kind": "expr", "expression": SLOW}]})
    process = subprocess.Popen(
        [str(BIN / "headrace"), "prepare", recipe, "--workdir", str(workdir), "--json"],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "SPARK_REMOTE": server.url},
    )  # fmt: skip
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if "fitting on" in line:
                break
        deadline = time.monotonic() + 240
        begun: set[str] = set()
        while not begun & server.list_open_operations():  # none of the short ones before
            begun = server.list_open_operations()
            assert time.monotonic() < deadline, "the server got nothing to do"
            time.sleep(5)
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_build_that_is_terminated_leaves_the_server_nothing_to_do(
    tmp_path: Path, server: ConnectServer
) -> None:
    with slow_build(tmp_path, server) as process:
        process.send_signal(signal.SIGTERM)
        assert process.stderr is not None
        assert "terminated by SIGTERM" in process.stderr.read()
        assert process.wait(timeout=120) == 143
    deadline = time.monotonic() + 60
    while server.list_open_operations():
        assert time.monotonic() < deadline, server.list_open_operations()
        time.sleep(1)
    assert not list((tmp_path / "dataset").rglob("*.parquet"))


def test_a_server_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    url = f"sc://127.0.0.1:{free_port()}/;token=dapi-very-secret"
    done = prepare(tmp_path, write_recipe(tmp_path), SPARK_REMOTE=url)
    assert done.code == 1
    assert done.err.splitlines()[-1].endswith(
        f"the Spark Connect server {url.partition('/;')[0]} (SPARK_REMOTE) does not answer: "
        "Connection refused; is it running, and may this host reach it?"
    )
    assert "dapi-very-secret" not in done.err + done.out


def test_what_is_no_server_is_told(tmp_path: Path) -> None:
    done = prepare(tmp_path, write_recipe(tmp_path), SPARK_REMOTE="local[2]")
    assert done.code == 1
    assert "SPARK_REMOTE is 'local[2]', expected sc://host:port" in done.err


def test_ranks_on_its_executors_are_refused(tmp_path: Path, server: ConnectServer) -> None:
    recipe = write_recipe(tmp_path, spark={"remote": server.url})
    done = headrace("train", recipe, "--workdir", str(tmp_path), "--launcher", "spark")
    assert done.code == 2
    assert "train.launcher.kind: is spark: ranks on executors need a SparkContext" in done.err


def test_doctor_needs_no_java_here(tmp_path: Path, server: ConnectServer) -> None:
    recipe = write_recipe(tmp_path)
    done = headrace(
        "doctor", recipe, "--workdir", str(tmp_path), SPARK_REMOTE=server.url, JAVA_HOME="/nowhere"
    )
    assert "java: not needed here" in done.out + done.err
    assert "a session on local[2] answered" in done.out + done.err


def test_a_server_that_dies_is_named(tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    with (
        ConnectServer(tmp_path / "server") as server,
        slow_build(tmp_path / "w", server) as process,
    ):
        server.kill()
        assert process.stderr is not None
        said = process.stderr.read()
        assert process.wait(timeout=600) == 1
    assert "recipe 'daily': the Spark Connect server is lost" in said
    assert "Traceback" not in said


def test_a_server_that_cannot_run_it_is_refused(tmp_path: Path) -> None:
    """It leaves out damaged files, which no session can change; and its Python has no packages."""
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(bare)], check=True)
    ignoring = ("--conf", "spark.files.ignoreCorruptFiles=true")
    with ConnectServer(tmp_path / "server", *ignoring) as server:
        recipe = write_recipe(tmp_path)
        done = prepare(tmp_path, recipe, SPARK_REMOTE=server.url)
        assert done.code == 1
        assert "Spark was started with spark.files.ignoreCorruptFiles = true" in done.err
        static = ("--set", 'spark.conf."spark.driver.memory"=7g')
        done = prepare(tmp_path, recipe, *static, SPARK_REMOTE=server.url)
        assert done.code == 1
        assert "spark.driver.memory is 2g, needed is 7g" in done.err
    with ConnectServer(tmp_path / "other", python=str(bare / "bin/python")) as server:
        done = prepare(tmp_path, recipe, SPARK_REMOTE=server.url)
        assert done.code == 1
        assert f"the tasks of the Spark Connect server {server.url} have no Python package" in (
            done.err
        )


def test_a_session_that_has_the_package_is_sent_no_second_one(
    server: ConnectServer, tmp_path: Path
) -> None:
    """Between two commands of a notebook modules are compiled, which the archive takes along."""
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    from headrace.spark_engine.package_archive import write_archive
    from headrace.spark_engine.session_settings import send_package

    session = SparkSession.builder.remote(server.url).create()
    try:
        archive = write_archive(str(tmp_path))
        send_package(session, archive)
        with zipfile.ZipFile(archive, "a") as file:
            file.writestr("headrace/compiled_since.pyc", b"")
        with pytest.raises(PySparkException, match="ARTIFACT_ALREADY_EXISTS"):
            session.addArtifacts(archive, pyfile=True)
        send_package(session, archive)
    finally:
        session.stop()
