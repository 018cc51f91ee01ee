"""What the JVM of a session is started with."""

import os

import pytest

from headrace.spark_gateway import JAVA_VARIABLES, _pass_java_options
from headrace.spark_session import _has_java_options


def test_options_of_short_work_come_first_and_are_gone_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("JDK_JAVA_OPTIONS", "-Dx=1")
    with _pass_java_options([], "/tmp/a b", ["-XX:+UseSerialGC"]):
        options = '-XX:+UseSerialGC -Dx=1 -Djava.io.tmpdir="/tmp/a b"'
        assert os.environ["JDK_JAVA_OPTIONS"] == options
    assert os.environ["JDK_JAVA_OPTIONS"] == "-Dx=1"


@pytest.mark.parametrize(
    ("settings", "variables", "chosen"),
    [
        ({}, {}, False),
        ({"spark.driver.memory": "3g"}, {"JAVA_HOME": "/java"}, False),
        ({"spark.driver.extraJavaOptions": "-XX:+UseParallelGC"}, {}, True),
        ({}, {"JDK_JAVA_OPTIONS": "-XX:+UseZGC"}, True),  # two collectors: the JVM does not start
        ({}, {"JAVA_TOOL_OPTIONS": "-Xint"}, True),
    ],
)
def test_options_of_java_are_left_alone_where_somebody_chose_some(
    settings: dict[str, str],
    variables: dict[str, str],
    chosen: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in JAVA_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert _has_java_options(settings) == chosen
