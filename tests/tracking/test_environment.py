"""MLflow's environment variables are set in one place, and never over a value of the caller."""

import os
import re
from pathlib import Path

import pytest

import headrace
from headrace.tracking.environment import (
    find_tracking_uri,
    limit_requests,
    limit_requests_within,
    select_tracking_variables,
    silence_mlflow,
)

QUIET = {
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}
RETRIES, TIMEOUT = "MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT"


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of the variables is set, and they are again as before after the test."""
    for name in (*QUIET, RETRIES, TIMEOUT):
        monkeypatch.setenv(name, "")  # so that it is restored also where the test sets it
        monkeypatch.delenv(name)


def test_ranks_on_other_hosts_get_the_address_and_no_credentials() -> None:
    environment = {"MLFLOW_TRACKING_URI": "http://m", "MLFLOW_TRACKING_PASSWORD": "pw", "PATH": "/"}
    assert select_tracking_variables(environment) == {"MLFLOW_TRACKING_URI": "http://m"}
    assert select_tracking_variables({"MLFLOW_TRACKING_URI": ""}) == {}


def test_the_recipe_wins_over_the_environment() -> None:
    environment = {"MLFLOW_TRACKING_URI": "http://m"}
    assert find_tracking_uri("http://recipe", environment) == "http://recipe"
    assert find_tracking_uri(None, environment) == "http://m"
    assert find_tracking_uri(None, {}) is None


def test_mlflow_is_silenced() -> None:
    silence_mlflow()
    assert {name: os.environ[name] for name in QUIET} == QUIET


def test_a_value_of_the_caller_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_PYTHON_REFRESH", "raise")
    monkeypatch.setenv(RETRIES, "7")
    silence_mlflow()
    assert limit_requests() == [TIMEOUT]
    assert os.environ["GIT_PYTHON_REFRESH"] == "raise"
    assert (os.environ[RETRIES], os.environ[TIMEOUT]) == ("7", "20")


def test_requests_are_limited() -> None:
    assert limit_requests(retries=1, timeout_seconds=10) == [RETRIES, TIMEOUT]
    assert (os.environ[RETRIES], os.environ[TIMEOUT]) == ("1", "10")
    limit_requests()  # the first limit stays
    assert (os.environ[RETRIES], os.environ[TIMEOUT]) == ("1", "10")


def test_a_limit_within_a_block_ends_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TIMEOUT, "5")
    with pytest.raises(ZeroDivisionError), limit_requests_within():
        assert (os.environ[RETRIES], os.environ[TIMEOUT]) == ("2", "5")
        raise ZeroDivisionError
    assert RETRIES not in os.environ
    assert os.environ[TIMEOUT] == "5"


def test_no_other_module_sets_one() -> None:
    """Reading MLFLOW_TRACKING_URI is no setting."""
    setting = re.compile(
        r"""(environ\[|environ\.setdefault\(|putenv\()\s*f?["'](MLFLOW_|GIT_PYTHON_)"""
        r"""|["'](MLFLOW_(?!TRACKING_URI)\w+|GIT_PYTHON_\w+)["']\s*:"""
    )
    package = Path(headrace.__file__).parent
    modules = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if setting.search(path.read_text(encoding="utf-8"))
    }
    assert modules == {"tracking/environment.py"}
