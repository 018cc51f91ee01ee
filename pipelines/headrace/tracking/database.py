"""MLflow's database in a SQLite file of our own: made, and brought to the schema of this MLflow.

MLflow refuses a database of another release of itself. One of an older release is migrated by
MLflow's own steps, on a copy that replaces it when it is whole; what was there stays beside it.
One of a newer release is refused by name. Databases behind a server, or that a recipe names, are
for those who run them: `mlflow db upgrade`.
"""

import contextlib
import fcntl
import logging
import shutil
import sqlite3
import subprocess
import tempfile
import zlib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from headrace.errors import ModelError
from headrace.processes import python_command

_ATTEMPTS = 3


def open_database(uri: str) -> None:
    """Make the database where there is none, migrate it where it is of an older MLflow.

    Args:
        uri: `sqlite:///` and the file's path.

    Raises:
        ModelError: it is of a newer MLflow, or no database of MLflow.
    """
    file = Path(uri.removeprefix("sqlite:///"))
    if not file.exists():
        _make(file)
    revision, seen = _schema_of(file)
    if seen == _stamp(revision):  # this MLflow had a look at it before
        return
    with _alone(file):
        revision, seen = _schema_of(file)
        if seen == _stamp(revision):
            return
        known, newest = _revisions()
        if revision not in known:
            raise ModelError(
                f"MLflow's database {file} has schema {revision}, which MLflow {version('mlflow')} "
                "does not know: a newer MLflow wrote it. Update this one, or use another --workdir"
            )
        if revision != newest:
            _migrate(file, revision)
        else:
            _note(file, revision)


def _make(file: Path) -> None:
    """Make MLflow's tables, whole or absent.

    A process that is killed while MLflow makes them leaves a file that no later one can use.
    """
    import mlflow

    with tempfile.TemporaryDirectory(prefix=".making-", dir=file.parent) as folder:
        aside = Path(folder) / file.name
        mlflow.MlflowClient(f"sqlite:///{aside}").search_experiments()
        _note(aside, _schema_of(aside)[0])
        with contextlib.suppress(FileExistsError):  # somebody else was quicker
            file.hardlink_to(aside)


def _migrate(file: Path, revision: str) -> None:
    """Migrate a copy by `mlflow db upgrade`, and copy it back in one transaction of SQLite.

    Raises:
        ModelError: MLflow could not; the file is as it was.
    """
    before = file.with_name(f"{file.name}.schema-{revision}")
    with contextlib.closing(sqlite3.connect(file)) as database:
        for _ in range(_ATTEMPTS):
            writes = database.execute("PRAGMA data_version").fetchone()
            with tempfile.TemporaryDirectory(prefix=".migrating-", dir=file.parent) as folder:
                aside = Path(folder) / file.name
                with contextlib.closing(sqlite3.connect(aside)) as copy:
                    database.backup(copy)
                shutil.copyfile(aside, Path(folder) / before.name)
                _upgrade(file, aside)
                _note(aside, _schema_of(aside)[0])
                if database.execute("PRAGMA data_version").fetchone() != writes:
                    continue  # another process wrote meanwhile
                (Path(folder) / before.name).replace(before)
                with contextlib.closing(sqlite3.connect(aside)) as copy:
                    copy.backup(database)
            logging.getLogger("headrace").warning(
                "MLflow's database %s was of an older MLflow and is migrated; a copy as it was: %s",
                file, before,
            )  # fmt: skip
            return
    raise ModelError(
        f"MLflow's database {file} has to be migrated, and other processes go on writing to it; "
        "end them, and run the same command again"
    )


def _upgrade(file: Path, aside: Path) -> None:
    done = subprocess.run(
        python_command("-m", "mlflow", "db", "upgrade", f"sqlite:///{aside}"),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise ModelError(
            f"MLflow's database {file} is of an older MLflow and could not be migrated: "
            f"{lines[-1] if lines else 'mlflow db upgrade said nothing'}. It is as it was; see "
            "`mlflow db upgrade`, or use another --workdir"
        )


def _schema_of(file: Path) -> tuple[str, int]:
    """Return the revision of the schema, and the stamp of who looked at it last.

    Raises:
        ModelError: it is no database of MLflow.
    """
    try:
        with contextlib.closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as database:
            (seen,) = database.execute("PRAGMA user_version").fetchone()
            row = database.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.Error as error:
        raise ModelError(
            f"{file} is no database of MLflow ({error}); move it away, or use another --workdir"
        ) from None
    return str(row[0]) if row else "", int(seen)


def _stamp(revision: str) -> int:
    """Return what is noted of a database whose schema is this MLflow's; MLflow leaves it alone."""
    return zlib.crc32(f"{version('mlflow')} {revision}".encode()) & 0x7FFFFFFF


def _note(file: Path, revision: str) -> None:
    with (
        contextlib.suppress(sqlite3.OperationalError),  # read only: it is looked at again
        contextlib.closing(sqlite3.connect(file)) as database,
    ):
        database.execute(f"PRAGMA user_version = {_stamp(revision)}")


def _revisions() -> tuple[frozenset[str], str]:
    """Return all revisions that this MLflow knows, and its own."""
    import mlflow.store
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(Path(mlflow.store.__path__[0]) / "db_migrations"))
    known = frozenset(script.revision for script in scripts.walk_revisions())
    return known, str(scripts.get_current_head())


@contextlib.contextmanager
def _alone(file: Path) -> Iterator[None]:
    """Keep other processes from migrating at the same time, where the folder has locks."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            lock = stack.enter_context(file.with_name(f".{file.name}.lock").open("w"))
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
