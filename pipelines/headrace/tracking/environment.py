"""Read and set MLflow's environment variables; no other module of the package does.

A value that the caller's environment has already always wins where one would be set.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

_TRACKING_URI, _REGISTRY_URI = "MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"
_EXPERIMENT = "MLFLOW_EXPERIMENT_NAME"
_RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
_BARS = "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"
_QUIET = {
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    _BARS: "false",
    "GIT_PYTHON_REFRESH": "quiet",
    # Or a model would have whatever pyproject.toml and uv.lock lie in the working directory.
    "MLFLOW_LOG_UV_FILES": "false",
}


def find_tracking_uri(configured: str | None, environment: Mapping[str, str]) -> str | None:
    """Find the URI of the MLflow server to use; None where neither names one.

    Args:
        configured: the recipe's `tracking.uri`, which wins.
        environment: normally `os.environ`.
    """
    return configured or environment.get(_TRACKING_URI)


def find_registry_uri(configured: str | None, environment: Mapping[str, str]) -> str | None:
    """Find the URI of the model registry; None where it is where runs are tracked.

    Args:
        configured: the recipe's `tracking.registry_uri`, which wins.
        environment: normally `os.environ`.
    """
    return configured or environment.get(_REGISTRY_URI) or None


def find_experiment(configured: str | None, environment: Mapping[str, str]) -> str | None:
    """Find the name of the experiment; None where neither names one.

    Args:
        configured: the recipe's `tracking.experiment`, which wins.
        environment: normally `os.environ`.
    """
    return configured or environment.get(_EXPERIMENT) or None


def select_tracking_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Select the variables that ranks on other hosts need, except credentials."""
    names = (_TRACKING_URI, _REGISTRY_URI, _EXPERIMENT)
    return {name: environment[name] for name in names if environment.get(name)}


@contextmanager
def keep_addresses() -> Iterator[None]:
    """Restore the addresses of the caller's environment after the block.

    MLflow writes those that it is told there, where the next recipe would take them for its own.
    """
    with _restore_afterwards(_TRACKING_URI, _REGISTRY_URI):
        yield


def silence_mlflow() -> None:
    """Keep MLflow from printing addresses and progress bars and from logging files of projects, and
    GitPython from warning."""
    _set_defaults(_QUIET)


def refuse_pickles() -> None:
    """Have MLflow un-pickle no model in this process, whatever the caller's environment says."""
    os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"


def limit_requests(retries: int = 2, timeout_seconds: int = 20) -> list[str]:
    """Limit how long MLflow waits for its server: by itself it would try for minutes.

    Args:
        retries: further attempts of a request that failed.
        timeout_seconds: time limit of an attempt.

    Returns:
        The variables that were set, because the environment did not have them.
    """
    return _set_defaults(
        {
            _RETRIES: str(retries),
            "MLFLOW_HTTP_REQUEST_TIMEOUT": str(timeout_seconds),
        }
    )


@contextmanager
def limit_requests_within() -> Iterator[None]:
    """Limit requests as `limit_requests` does, for the length of the block."""
    names = limit_requests()
    try:
        yield
    finally:
        for name in names:
            del os.environ[name]


@contextmanager
def never_repeat_requests() -> Iterator[None]:
    """Keep MLflow from repeating a request within the block, whatever the environment says.

    By itself it repeats requests that make something, too, whose answer may be all that was lost.
    """
    with _restore_afterwards(_RETRIES):
        os.environ[_RETRIES] = "0"
        yield


@contextmanager
def hide_progress_bars() -> Iterator[None]:
    """Keep MLflow from showing progress bars of artifacts within the block."""
    with _restore_afterwards(_BARS):
        os.environ[_BARS] = "false"
        yield


@contextmanager
def _restore_afterwards(*names: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in names}
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _set_defaults(variables: Mapping[str, str]) -> list[str]:
    """Set variables that are unset, and return their names."""
    missing = {name: value for name, value in variables.items() if name not in os.environ}
    os.environ.update(missing)
    return list(missing)
