"""What of a server's engine needs no server; the rest is in tests/e2e/test_spark_connect.py."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from headrace.spark_engine.connect import ConnectEngine, call_briefly
from headrace.spark_engine.connect_catalog import qualify_path


@pytest.mark.parametrize(
    ("path", "resolved"),
    [
        ("lake/day=*", "{here}/lake/day=*"),
        ("../lake", "{above}/lake"),
        ("/lake/a", "/lake/a"),
        ("file:/lake", "file:/lake"),
        ("s3a://bucket/a b", "s3a://bucket/a b"),
        ("abfss://c@account/x", "abfss://c@account/x"),
    ],
)
def test_a_server_has_another_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, resolved: str
) -> None:
    monkeypatch.chdir(tmp_path)
    engine: Any = ConnectEngine(None)  # type: ignore[arg-type]
    assert engine.resolve_path(path) == resolved.format(here=tmp_path, above=tmp_path.parent)


@pytest.mark.parametrize(
    ("url", "default", "qualified"),
    [
        ("file:///a/b", None, "file:/a/b"),
        ("file:/a/b", "hdfs://names:8020", "file:/a/b"),
        ("hdfs:///a", "hdfs://names:8020/", "hdfs://names:8020/a"),
        ("hdfs:///a", None, "hdfs:///a"),
        ("hdfs://other/a", "hdfs://names:8020", "hdfs://other/a"),
        ("s3a://bucket/a/", None, "s3a://bucket/a"),
    ],
)
def test_places_are_written_as_a_catalog_has_them(
    url: str, default: str | None, qualified: str
) -> None:
    assert qualify_path(url, default) == qualified


def test_what_is_gone_keeps_nobody() -> None:
    answered = threading.Event()

    def fail() -> None:
        answered.set()
        raise ConnectionError("gone")

    call_briefly(fail)
    assert answered.is_set()
    asked = time.monotonic()
    call_briefly(lambda: time.sleep(60), seconds=0.1)
    assert time.monotonic() - asked < 50
