"""Where a server is, and that one that is not there is told at once."""

import os
import socket
from collections.abc import Iterator

import pytest

from headrace.errors import MachineError
from headrace.spark_engine.remote import Remote, find_remote, open_session


def test_the_recipe_goes_before_the_environment() -> None:
    environment = {"SPARK_REMOTE": "sc://b:1"}
    assert find_remote("sc://a:1", environment) == Remote("sc://a:1", "spark.remote")
    assert find_remote(None, environment) == Remote("sc://b:1", "SPARK_REMOTE")
    assert find_remote(None, {"SPARK_REMOTE": ""}) is None
    assert find_remote(None, {}) is None


@pytest.mark.parametrize("value", ["local", "local[2]", "host:15002", "SC://host"])
def test_the_environment_may_name_servers_only(value: str) -> None:
    with pytest.raises(MachineError, match=r"SPARK_REMOTE is .*expected sc://host:port"):
        find_remote(None, {"SPARK_REMOTE": value})


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("sc://host:15002", "sc://host:15002"),
        ("sc://host", "sc://host"),
        ("sc://host:443/;use_ssl=true;token=dapi-secret", "sc://host:443"),
        ("sc://me:pw@host:443/;x=1", "sc://host:443"),
        ("sc://[::1]:15002/;token=dapi", "sc://[::1]:15002"),
    ],
)
def test_an_address_has_no_secrets(url: str, address: str) -> None:
    assert Remote(url, "spark.remote").address == address


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A port of this machine, where nothing answers before somebody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held


@pytest.fixture(autouse=True)
def no_other_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever tests ran in this process before."""
    from pyspark import SparkContext

    monkeypatch.setattr(SparkContext, "_active_spark_context", None)


def refuse(url: str) -> str:
    with pytest.raises(MachineError) as caught:
        open_session(Remote(url, "spark.remote"), "test", {})
    assert "SPARK_CONNECT_MODE_ENABLED" not in os.environ
    return str(caught.value)


def test_nobody_listens(listener: socket.socket) -> None:
    url = f"sc://127.0.0.1:{listener.getsockname()[1]}"
    assert refuse(f"{url}/;token=dapi-secret") == (
        f"the Spark Connect server {url} (spark.remote) does not answer: Connection refused; is it "
        "running, and may this host reach it?"
    )


def test_a_name_that_nobody_knows() -> None:
    assert "sc://nowhere.invalid:1 (spark.remote) does not answer: " in refuse(
        "sc://nowhere.invalid:1"
    )


@pytest.mark.parametrize("url", ["sc://", "sc://host:port", "sc://host:1/a", "sc://host/;token"])
def test_what_is_no_url(url: str) -> None:
    assert "spark.remote is no URL of a Spark Connect server: " in refuse(url)
