"""MLflow's database of another MLflow: an older one is migrated, a newer one named."""

import contextlib
import logging
import sqlite3
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest
from alembic import command

from headrace.errors import ModelError
from headrace.tracking.database import open_database
from tests.mlflow_store import copy_empty_store


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A database with a run, as this MLflow makes it."""
    file = copy_empty_store(tmp_path / "a folder" / "mlflow.db")
    client = mlflow.MlflowClient(f"sqlite:///{file}")
    experiment = client.create_experiment("mine", artifact_location=str(tmp_path / "artifacts"))
    run = client.create_run(experiment, run_name="first")
    client.log_metric(run.info.run_id, "loss", 0.5)
    return file


def downgrade(file: Path, revision: str) -> None:
    """Take the schema back, by the way down that MLflow's own steps have."""
    from mlflow.store.db.utils import _get_alembic_config, create_sqlalchemy_engine

    engine = create_sqlalchemy_engine(f"sqlite:///{file}")
    with engine.begin() as connection:
        config = _get_alembic_config(str(engine.url))
        config.attributes["connection"] = connection
        command.downgrade(config, revision)
    engine.dispose()


def schema(file: Path) -> str:
    with contextlib.closing(sqlite3.connect(file)) as database:
        return str(database.execute("SELECT version_num FROM alembic_version").fetchone()[0])


def set_schema(file: Path, revision: str) -> None:
    with contextlib.closing(sqlite3.connect(file)) as database:
        database.execute("UPDATE alembic_version SET version_num = ?", (revision,))
        database.commit()


def runs(file: Path) -> list[tuple[str, float]]:
    client = mlflow.MlflowClient(f"sqlite:///{file}")
    (experiment,) = client.search_experiments(filter_string="name = 'mine'")
    found = client.search_runs([experiment.experiment_id])
    return [(run.info.run_name, run.data.metrics["loss"]) for run in found]


@pytest.mark.parametrize("steps", [1, pytest.param(8, marks=pytest.mark.long)])
def test_an_older_one_is_migrated_and_kept(
    file: Path, steps: int, caplog: pytest.LogCaptureFixture
) -> None:
    now = schema(file)
    downgrade(file, f"-{steps}")
    older = schema(file)
    assert older != now
    with caplog.at_level(logging.WARNING, logger="headrace"):
        open_database(f"sqlite:///{file}")
    before = file.with_name(f"mlflow.db.schema-{older}")
    assert f"a copy of the original is {before}" in caplog.text
    assert (schema(file), schema(before)) == (now, older)
    assert runs(file) == [("first", 0.5)]
    left = {path.name for path in file.parent.iterdir()}
    assert left == {file.name, before.name, f".{file.name}.lock"}


# Ends as by SIGKILL in a transaction that has begun to write, as a rank may that logs a metric.
KILLED_IN_A_TRANSACTION = """
import os, sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("PRAGMA cache_size = 1")
database.execute("BEGIN")
database.execute("UPDATE metrics SET value = 9.0")
database.execute("UPDATE latest_metrics SET value = 9.0")
database.execute("CREATE TABLE half_done (text TEXT)")
database.executemany("INSERT INTO half_done VALUES (?)", [("x" * 1000,)] * 1000)
os._exit(9)
"""


def test_what_a_killed_process_left_half_written_is_undone(file: Path) -> None:
    journal = file.with_name(f"{file.name}-journal")
    killed = [sys.executable, "-P", "-c", KILLED_IN_A_TRANSACTION, str(file)]
    assert subprocess.run(killed, check=False).returncode == 9
    assert journal.stat().st_size > 0
    open_database(f"sqlite:///{file}")
    assert runs(file) == [("first", 0.5)]
    assert not journal.exists()


def test_a_new_one_leaves_nothing_beside_it(tmp_path: Path) -> None:
    open_database(f"sqlite:///{tmp_path}/mlflow.db")
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]
    assert mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db").search_experiments()


def test_one_that_was_looked_at_is_not_looked_at_again(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.tracking.database._list_revisions", lambda: pytest.fail("looked"))
    open_database(f"sqlite:///{file}")


def test_one_that_this_mlflow_made_by_itself_is_looked_at_once(file: Path) -> None:
    with contextlib.closing(sqlite3.connect(file)) as database:
        database.execute("PRAGMA user_version = 0")
    for _ in range(2):
        open_database(f"sqlite:///{file}")
    assert runs(file) == [("first", 0.5)]
    assert not list(file.parent.glob("*.schema-*"))


def test_one_of_a_newer_mlflow_is_named_and_stays_as_it_is(file: Path) -> None:
    set_schema(file, "f00dfeed0001")
    before = file.read_bytes()
    with pytest.raises(ModelError, match=r"has schema f00dfeed0001, which MLflow .* does not know"):
        open_database(f"sqlite:///{file}")
    assert file.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"no database at all" * 100])
def test_what_is_no_database_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "mlflow.db"
    file.write_bytes(content)
    with pytest.raises(ModelError, match=r"mlflow\.db is no database of MLflow \("):
        open_database(f"sqlite:///{file}")


def test_a_migration_that_fails_leaves_it_as_it_was(
    file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    downgrade(file, "-1")
    older = schema(file)
    failing = tmp_path / "python"
    failing.write_text("#!/bin/sh\necho no room >&2\nexit 1\n")
    failing.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(failing))
    with pytest.raises(ModelError, match=r"could not be migrated: no room\. It is unchanged"):
        open_database(f"sqlite:///{file}")
    assert schema(file) == older
    assert not list(file.parent.glob("*.schema-*"))
