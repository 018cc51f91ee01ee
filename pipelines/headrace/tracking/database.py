"""Create MLflow's database in a SQLite file of our own, and migrate it to this MLflow's schema.

MLflow refuses a database of another release of itself. One of an older release is migrated by
MLflow's own steps, on a copy that replaces it when it is complete; the original stays beside it.
One of a newer release is refused by name. Databases behind a server, or that a recipe names, are
left to those who run them: `mlflow db upgrade`.
"""

import contextlib
import logging
import os
import shutil
import sqlite3
import subprocess
import tempfile
import zlib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from headrace.errors import ModelError
from headrace.file_lock import hold_lock
from headrace.processes import build_python_command

_ATTEMPTS = 3
DATABASES = ("mssql", "mysql", "postgresql", "sqlite")


def open_database(uri: str) -> None:
    """Create the database where there is none, and migrate it where it is of an older MLflow.

    Args:
        uri: `sqlite:///` and the file's path.

    Raises:
        ModelError: it is of a newer MLflow, or no database of MLflow.
    """
    file = Path(uri.removeprefix("sqlite:///"))
    if not file.exists():
        _create_database(file)
    if is_current(file):
        return
    with _hold_migration_lock(file):
        revision, stamp = _read_schema(file)
        if stamp == _compute_stamp(revision):
            return
        revisions, newest = _list_revisions()
        if revision not in revisions:
            raise ModelError(
                f"MLflow's database {file} has schema {revision}, which MLflow {version('mlflow')} "
                "does not know: a newer MLflow wrote it. Update this one, or use another --workdir"
            )
        if revision != newest:
            _migrate_database(file, revision)
        else:
            _write_stamp(file, revision)


def is_current(file: Path) -> bool:
    """Return whether this MLflow checked a SQLite file before, and no other one did since.

    MLflow need not be imported to know: its import takes seconds.

    Raises:
        ModelError: it is no database of MLflow.
    """
    revision, stamp = _read_schema(file)
    return stamp == _compute_stamp(revision)


def probe_database(uri: str) -> None:
    """Connect once to a database that MLflow would retry for minutes, whatever the reason.

    Args:
        uri: of any store; what is no database is left alone.

    Raises:
        sqlalchemy.exc.SQLAlchemyError, ImportError: there is no connection, or no driver.
    """
    scheme = uri.partition(":")[0].partition("+")[0]
    if scheme not in DATABASES:
        return
    import sqlalchemy

    file = uri.partition("///")[2]
    if scheme == "sqlite" and file and not Path(file).exists():
        # MLflow makes the file, and its folder.
        Path(file).absolute().parent.mkdir(parents=True, exist_ok=True)
    engine = sqlalchemy.create_engine(uri, poolclass=sqlalchemy.pool.NullPool)
    try:
        with engine.connect():
            pass
    finally:
        engine.dispose()


def _create_database(file: Path) -> None:
    """Create MLflow's tables in a copy that takes the file's name when it is complete.

    A process that is killed while MLflow creates them leaves a file that no later one can use.
    """
    import mlflow

    with tempfile.TemporaryDirectory(prefix=".making-", dir=file.parent) as folder:
        new_file = Path(folder) / file.name
        mlflow.MlflowClient(f"sqlite:///{new_file}").search_experiments()
        _write_stamp(new_file, _read_schema(new_file)[0])
        with contextlib.suppress(FileExistsError):  # another process was faster
            file.hardlink_to(new_file)


def _migrate_database(file: Path, revision: str) -> None:
    """Migrate a copy by `mlflow db upgrade`, and copy it back in one transaction of SQLite.

    Raises:
        ModelError: the migration failed; the file is unchanged.
    """
    backup = file.with_name(f"{file.name}.schema-{revision}")
    with contextlib.closing(sqlite3.connect(file)) as database:
        for _ in range(_ATTEMPTS):
            data_version = database.execute("PRAGMA data_version").fetchone()
            with tempfile.TemporaryDirectory(prefix=".migrating-", dir=file.parent) as folder:
                new_file = Path(folder) / file.name
                with contextlib.closing(sqlite3.connect(new_file)) as copy:
                    database.backup(copy)
                shutil.copyfile(new_file, Path(folder) / backup.name)
                _upgrade_schema(file, new_file)
                _write_stamp(new_file, _read_schema(new_file)[0])
                if database.execute("PRAGMA data_version").fetchone() != data_version:
                    continue  # another process wrote to it since
                (Path(folder) / backup.name).replace(backup)
                with contextlib.closing(sqlite3.connect(new_file)) as copy:
                    copy.backup(database)
            logging.getLogger("headrace").warning(
                "MLflow's database %s was of an older MLflow and has been migrated; a copy of the "
                "original is %s", file, backup,
            )  # fmt: skip
            return
    raise ModelError(
        f"MLflow's database {file} has to be migrated, but other processes keep writing to it; "
        "stop them, and run the same command again"
    )


def _upgrade_schema(file: Path, copy: Path) -> None:
    """Upgrade the copy of a database to this MLflow's schema, in a process of its own.

    Raises:
        ModelError: MLflow failed; it names the original file.
    """
    process = subprocess.run(
        build_python_command("-m", "mlflow", "db", "upgrade", f"sqlite:///{copy}"),
        capture_output=True,
        text=True,
        check=False,
    )
    if process.returncode:
        lines = process.stderr.strip().splitlines()
        raise ModelError(
            f"MLflow's database {file} is of an older MLflow and could not be migrated: "
            f"{lines[-1] if lines else '`mlflow db upgrade` gave no reason'}. It is unchanged; see "
            "`mlflow db upgrade`, or use another --workdir"
        )


def _read_schema(file: Path) -> tuple[str, int]:
    """Return the revision of the schema, and the stamp of the MLflow that checked it last.

    Raises:
        ModelError: the file is no database of MLflow.
    """
    # Whoever reads after a process was killed in a transaction rolls it back, which is writing.
    mode = "rw" if os.access(file, os.W_OK) and os.access(file.parent, os.W_OK) else "ro"
    try:
        with contextlib.closing(
            sqlite3.connect(f"{file.as_uri()}?mode={mode}", uri=True)
        ) as database:
            (stamp,) = database.execute("PRAGMA user_version").fetchone()
            row = database.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.Error as error:
        raise ModelError(
            f"{file} is no database of MLflow ({error}); move it away, or use another --workdir"
        ) from None
    return str(row[0]) if row else "", int(stamp)


def _compute_stamp(revision: str) -> int:
    """Return the stamp of a database whose schema is this MLflow's; MLflow does not touch it."""
    return zlib.crc32(f"{version('mlflow')} {revision}".encode()) & 0x7FFFFFFF


def _write_stamp(file: Path, revision: str) -> None:
    """Stamp a database as checked, so that it is not checked again."""
    with (
        contextlib.suppress(sqlite3.OperationalError),  # a read-only file is checked every time
        contextlib.closing(sqlite3.connect(file)) as database,
    ):
        database.execute(f"PRAGMA user_version = {_compute_stamp(revision)}")


def _list_revisions() -> tuple[frozenset[str], str]:
    """Return all schema revisions that this MLflow knows, and its own."""
    import mlflow.store
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(Path(mlflow.store.__path__[0]) / "db_migrations"))
    revisions = frozenset(script.revision for script in scripts.walk_revisions())
    return revisions, str(scripts.get_current_head())


@contextlib.contextmanager
def _hold_migration_lock(file: Path) -> Iterator[None]:
    """Keep other processes from migrating at the same time, where the file system has locks."""
    with hold_lock(file.with_name(f".{file.name}.lock")):
        yield
