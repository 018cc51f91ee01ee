"""Faults of MLflow: which pass by themselves, and what is said about the others."""

import http.server
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from headrace.errors import ModelError
from headrace.progress import Progress, ignore_progress
from headrace.tracking import preflight
from headrace.tracking.faults import explain_fault, is_passing, wait_out
from headrace.tracking.preflight import check_store
from headrace.tracking.store import Store, open_client

Serve = Callable[[int, bytes], str]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")


@pytest.fixture
def serve() -> Iterator[Serve]:
    """A server that answers everything with one status and body."""
    servers = []

    def start(status: int, body: bytes = b"oops") -> str:
        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        for verb in ("GET", "POST", "PATCH", "PUT"):
            setattr(Handler, f"do_{verb}", Handler.answer)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def store_at(uri: str, **more: str) -> Store:
    return Store(uri, "e", "m", None, **more)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_a_busy_or_broken_server_passes(status: int, serve: Serve) -> None:
    assert check_store(store_at(serve(status, b"oops")))


def test_a_server_that_is_not_there_passes() -> None:
    assert "refused" in check_store(store_at("http://127.0.0.1:9"))


@pytest.mark.parametrize(
    ("status", "fix"),
    [
        (400, "log"), (401, "MLFLOW_TRACKING_USERNAME"), (403, "ask for the right"),
        (404, "not as MLflow does"), (405, "log"), (200, "not as MLflow does"),
    ],
)  # fmt: skip
def test_a_server_that_refuses_does_not_pass(status: int, fix: str, serve: Serve) -> None:
    with pytest.raises(ModelError, match=f"experiment e cannot be used at http.*{fix}"):
        check_store(store_at(serve(status, b"<html>")))


@pytest.mark.parametrize(
    ("uri", "fix"),
    [
        ("localhost:5000", "write an address with its scheme"),
        ("mlflow.example:80/x", "write an address with its scheme"),
        ("foo://x", "write an address with its scheme"),
        ("http://127.0.0.1:99999", "write an address with its scheme"),
        ("mlruns", "use a database"),
        ("mysql://me:hunter2@127.0.0.1:9/db", "install the database's driver"),
        ("http://no-such-host.invalid:5000", "check the name of the host"),
        ("sqlite:////proc/no/m.db", "create that folder"),
        ("sqlite:////proc/m.db", "right to write"),
    ],
)
def test_an_address_that_is_none_does_not_pass(uri: str, fix: str) -> None:
    with pytest.raises(ModelError, match=fix) as caught:
        check_store(store_at(uri))
    assert "hunter2" not in str(caught.value)


def test_https_to_a_server_of_http_does_not_pass(serve: Serve) -> None:
    with pytest.raises(ModelError, match="correct http and https"):
        check_store(store_at(serve(200, b"").replace("http", "https")))


@pytest.fixture
def database(tmp_path: Path) -> Store:
    store = Store(f"sqlite:///{tmp_path}/m.db", "e", "m", f"file://{tmp_path}/artifacts")
    assert check_store(store) == ""
    return store


def test_a_sound_store_is_left_as_it_was(database: Store, tmp_path: Path) -> None:
    """But for the experiment and the registered model, which the work needs."""
    assert [path for path in (tmp_path / "artifacts").rglob("*") if path.is_file()] == []
    assert check_store(database) == ""


def test_a_deleted_experiment_is_named_with_what_restores_it(database: Store) -> None:
    client = open_client(database)
    number = client.get_experiment_by_name("e").experiment_id
    client.delete_experiment(number)
    with pytest.raises(ModelError, match=f"was deleted; restore it .*--experiment-id {number}"):
        check_store(database)


def test_a_run_that_is_deleted_or_gone_is_named(database: Store) -> None:
    client = open_client(database)
    run_id = client.create_run(client.get_experiment_by_name("e").experiment_id).info.run_id
    assert check_store(database, run_id=run_id) == ""
    client.delete_run(run_id)
    with pytest.raises(ModelError, match=f"run {run_id}, .* was deleted .*runs restore"):
        check_store(database, run_id=run_id)
    with pytest.raises(ModelError, match=r"run 0000, .* is not in .*--resume never"):
        check_store(database, run_id="0000")


def test_an_artifact_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = Store(f"sqlite:///{tmp_path}/m.db", "e", "m", f"file://{tmp_path}/file/below")
    with pytest.raises(ModelError, match="an artifact cannot be written at sqlite"):
        check_store(store)


def test_a_database_of_another_schema_is_named(database: Store, tmp_path: Path) -> None:
    shutil.copy(tmp_path / "m.db", tmp_path / "other.db")
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0a8213491aaa'")
    with pytest.raises(ModelError, match="mlflow db upgrade"):
        check_store(store_at(f"sqlite:///{tmp_path}/other.db"))


def test_a_prompt_of_the_name_is_named(database: Store) -> None:
    open_client(database).register_prompt("p", "text {{x}}")
    prompt = Store(database.uri, "e", "p", database.artifacts)
    with pytest.raises(ModelError, match="is the name of a prompt; set"):
        check_store(prompt)
    assert check_store(prompt, registers=False) == ""


def test_a_registry_of_its_own_is_asked(database: Store) -> None:
    other = Store(database.uri, "e", "m", database.artifacts, registry_uri="localhost:5000")
    with pytest.raises(ModelError, match=r"with registry localhost:5000.*with its scheme"):
        check_store(other)
    locked = Store(
        database.uri, "e", "m", database.artifacts, registry_uri="sqlite:////proc/registry.db"
    )
    began = time.monotonic()
    with pytest.raises(ModelError, match="right to write"):  # MLflow would try for 100 seconds
        check_store(locked)
    assert time.monotonic() - began < 10
    dead = Store(database.uri, "e", "m", database.artifacts, registry_uri="http://127.0.0.1:9")
    assert "refused" in check_store(dead)
    assert check_store(dead, registers=False) == ""


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("database is locked", True),
        ("attempt to write a readonly database", False),
        ("database or disk is full", False),
        ("no such table: runs", False),
    ],
)
def test_errors_of_a_database_go_by_what_they_say(text: str, passes: bool) -> None:
    error = sqlite3.OperationalError(text)
    assert is_passing(error) == passes
    assert text in explain_fault(error, "it failed", "x")


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (PermissionError(13, "Permission denied"), False),
        (OSError(28, "No space left on device"), False),
        (OSError(30, "Read-only file system"), False),
        (FileNotFoundError(2, "No such file or directory"), False),
        (ConnectionResetError(104, "reset"), True),
        (TimeoutError("timed out"), True),
        (KeyError("x"), False),
    ],
)
def test_errors_of_the_system(error: Exception, passes: bool) -> None:
    assert is_passing(error) == passes
    try:
        raise ModelError("MLflow cannot use it") from error
    except ModelError as outer:
        assert is_passing(outer) == passes


def test_what_passes_is_waited_for_and_told_once() -> None:
    told: list[Progress] = []
    outcomes = iter([ConnectionResetError("gone"), TimeoutError("late"), "done"])

    def call() -> str:
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    slept: list[float] = []
    assert wait_out(call, told.append, sleep=slept.append) == "done"
    assert slept == [0.5, 1.0]
    assert [p.text for p in told] == ["MLflow does not answer, waiting for it: gone"]


def test_what_lasts_is_not_waited_for_and_patience_ends() -> None:
    def refuse() -> None:
        raise PermissionError(13, "Permission denied")

    def vanish() -> None:
        raise ConnectionResetError("gone")

    with pytest.raises(PermissionError):
        wait_out(refuse, ignore_progress, sleep=pytest.fail)
    clock = iter(range(100))
    with pytest.raises(ConnectionResetError):
        wait_out(vanish, ignore_progress, 10, sleep=lambda _: None, clock=lambda: next(clock))
    assert next(clock) == 11


def test_an_artifact_that_cannot_be_removed_stays(
    database: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

    def refuse(*_: object) -> None:
        raise ConnectionResetError(104, "of the store's own")

    monkeypatch.setattr(LocalArtifactRepository, "delete_artifacts", refuse)
    assert preflight.check_store(database) == ""
