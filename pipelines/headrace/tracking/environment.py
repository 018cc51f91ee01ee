"""Read and set MLflow's environment variables; no other module of the package does.

A value that the caller's environment has already always wins where one would be set.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

_TRACKING_URI = "MLFLOW_TRACKING_URI"
_QUIET = {
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
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


def select_tracking_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Select the variables that ranks on other hosts need, except credentials."""
    uri = environment.get(_TRACKING_URI)
    return {_TRACKING_URI: uri} if uri else {}


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
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": str(retries),
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


def _set_defaults(variables: Mapping[str, str]) -> list[str]:
    """Set variables that are unset, and return their names."""
    missing = {name: value for name, value in variables.items() if name not in os.environ}
    os.environ.update(missing)
    return list(missing)
