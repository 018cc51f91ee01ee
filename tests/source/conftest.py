"""The shared session for all tests that are marked spark, whether they name it or not."""

import pytest


@pytest.fixture(autouse=True)
def session_of_spark_tests(request: pytest.FixtureRequest) -> None:
    """Start the session before the test, which may build a dataset in it."""
    if request.node.get_closest_marker("spark"):
        request.getfixturevalue("spark")
