"""What the doctor finds on machines that are not well: real faults, each with its fix."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from headrace.commands.doctor import engines, machine, services
from headrace.commands.doctor.finding import Finding, State
from headrace.recipe import Recipe
from headrace.recipe.load import recipe_from_tree
from tests.tiny import tiny_tree


def recipe(folder: Path, **sections: object) -> Recipe:
    tree = {**tiny_tree(), **sections}
    return recipe_from_tree(
        tree, source="by hand", overrides=(), workdir=str(folder), environment={}
    )


def one(findings: list[Finding], name: str) -> Finding:
    (found,) = [finding for finding in findings if finding.name == name]
    return found


def test_java_that_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    found = one(engines.java(), "java")
    assert found.state is State.FAIL
    assert str(tmp_path) in found.what
    assert "install" in found.fix


def test_a_tracking_server_that_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:secret@127.0.0.1:9")
    (found,) = services.mlflow(None, str(tmp_path))
    assert found.state is State.FAIL
    assert "127.0.0.1" in found.what
    assert "secret" not in found.what
    assert "MLFLOW_TRACKING_URI" in found.fix


def test_tables_that_are_there_and_not(tiny_lake: Path, tmp_path: Path) -> None:
    wanted = recipe(tmp_path)
    tables = dict(wanted.source.tables)
    assert {f.state for f in services.tables(wanted)} == {State.OK}
    moved = tables["shops"].path
    assert moved is not None
    Path(moved).rename(tmp_path / "elsewhere")
    found = one(services.tables(wanted), "table shops")
    assert found.state is State.FAIL
    assert "source.tables.shops.path" in found.fix


def test_a_dataset_that_cannot_be_written(tmp_path: Path) -> None:
    fine = recipe(tmp_path, dataset={"path": f"{tmp_path}/new/dataset"})
    assert one(services.dataset(fine), "dataset").state is State.OK
    assert not (tmp_path / "new").exists()  # nothing is left behind
    (tmp_path / "file").write_text("no folder")
    found = one(services.dataset(recipe(tmp_path, dataset={"path": f"{tmp_path}/file"})), "dataset")
    assert found.state is State.FAIL
    assert "cannot be written to" in found.what


@pytest.fixture(params=[3600, 60, 0])
def ahead(request: pytest.FixtureRequest) -> Iterator[tuple[int, str]]:
    """A server whose clock is so many seconds ahead."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(404)
            self.end_headers()

        def date_time_string(self, timestamp: float | None = None) -> str:
            return format_datetime(datetime.now(UTC) + timedelta(seconds=request.param), True)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield request.param, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_clock_that_is_wrong(ahead: tuple[int, str]) -> None:
    seconds, url = ahead
    (found,) = services.clock(None, {"MLFLOW_TRACKING_URI": url})
    expected = {3600: State.FAIL, 60: State.WARN, 0: State.OK}
    assert found.state is expected[seconds]


def test_few_open_files_and_a_full_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
    try:
        (found,) = machine.limits()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert found.state is State.WARN
    assert "ulimit -n" in found.fix
    monkeypatch.setattr(machine, "_DISK_FAIL", 2**60)
    assert one(machine.disk(str(tmp_path / "not/yet")), "disk, workdir").state is State.FAIL
