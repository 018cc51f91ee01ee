"""Checks of MLflow, tables, the dataset's store and the clock, with real faults."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from headrace.commands.doctor import services
from headrace.commands.doctor.finding import State
from tests.commands.doctor.findings import find_finding
from tests.tiny import tiny_recipe


def test_a_tracking_server_that_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:secret@127.0.0.1:9")
    (finding,) = services.check_mlflow(None, str(tmp_path))
    assert finding.state is State.FAIL
    assert "127.0.0.1" in finding.what
    assert "secret" not in finding.what
    assert "MLFLOW_TRACKING_URI" in finding.fix


def test_without_a_tracking_server_nothing_is_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (finding,) = services.check_mlflow(tiny_recipe(tmp_path), "w")
    assert finding.state is State.OK
    assert finding.what == "SQLite and a folder below w; no server is configured"


def test_tables_that_exist_and_one_that_does_not(tiny_lake: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path)
    assert {finding.state for finding in services.check_tables(recipe)} == {State.OK}
    (tiny_lake / "shops").rename(tmp_path / "elsewhere")
    finding = find_finding(services.check_tables(recipe), "table shops")
    assert finding.state is State.FAIL
    assert finding.what == f"{tiny_lake}/shops does not exist"
    assert "source.tables.shops.path" in finding.fix


def test_tables_of_a_catalog_are_not_checked(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path, "source.tables.shops={table: raw.shops}")
    finding = find_finding(services.check_tables(recipe), "table shops")
    assert (finding.state, finding.what) == (
        State.OK,
        "raw.shops is in Spark's catalog; not checked",
    )


def test_a_dataset_that_can_be_written_is_left_as_it_was(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path, f"dataset.path={tmp_path}/new/dataset")
    assert find_finding(services.check_dataset(recipe), "dataset").state is State.OK
    assert list(tmp_path.iterdir()) == []


def test_a_dataset_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    recipe = tiny_recipe(tmp_path, f"dataset.path={tmp_path}/file")
    finding = find_finding(services.check_dataset(recipe), "dataset")
    assert finding.state is State.FAIL
    assert "cannot be written to" in finding.what


@pytest.fixture(params=[3600, 60, 0, -3600])
def server_ahead(request: pytest.FixtureRequest) -> Iterator[tuple[int, str]]:
    """A server whose clock is so many seconds ahead, and its URL."""

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


def test_a_clock_that_is_wrong(server_ahead: tuple[int, str]) -> None:
    seconds, url = server_ahead
    (finding,) = services.check_clock(None, {"MLFLOW_TRACKING_URI": url})
    expected = {3600: State.FAIL, 60: State.WARN, 0: State.OK, -3600: State.FAIL}
    assert finding.state is expected[seconds]
    if seconds:
        assert f" {'before' if seconds > 0 else 'after'} {url}" in finding.what


def test_without_a_server_the_clock_is_only_shown() -> None:
    for environment in ({}, {"MLFLOW_TRACKING_URI": "sqlite:///a.db"}, {"AWS_ENDPOINT_URL": ""}):
        (finding,) = services.check_clock(None, environment)
        assert finding.state is State.OK
        assert finding.what.endswith("UTC; no server to compare it with")
