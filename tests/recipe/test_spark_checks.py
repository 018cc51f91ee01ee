"""A recipe names one Spark, by the key that is made for it."""

from typing import Any

import pytest

from headrace.errors import RecipeError
from headrace.recipe import build_recipe
from tests.tiny import tiny_tree


def build(spark: dict[str, Any], *overrides: str) -> None:
    tree = tiny_tree()
    tree["spark"] = spark
    build_recipe(tree, source="tiny", overrides=overrides, workdir="w", environment={})


def test_a_server_is_named_by_its_url() -> None:
    build({"remote": "sc://host:15002/;use_ssl=true"})
    build({"remote": None, "master": "local[2]"})


@pytest.mark.parametrize(
    ("spark", "problem"),
    [
        ({"master": "sc://host"}, "spark.master: is the URL of a Spark Connect server"),
        ({"remote": "sc://host", "master": "local[2]"}, "spark.master: is local.2., and spark.rem"),
        ({"remote": "host:15002"}, "spark.remote: is 'host:15002', expected the URL"),
        ({"remote": "local"}, "spark.remote: is 'local', expected"),
        ({"conf": {"spark.remote": "sc://host"}}, 'spark.conf."spark.remote": is not read'),
        ({"conf": {"spark.api.mode": "connect"}}, 'spark.conf."spark.api.mode": is not read'),
    ],
)
def test_anything_else_is_refused(spark: dict[str, Any], problem: str) -> None:
    with pytest.raises(RecipeError, match=problem):
        build(spark)


def test_ranks_on_executors_need_another_spark() -> None:
    with pytest.raises(RecipeError, match=r"launcher\.kind: is spark: ranks on"):
        build({"remote": "sc://host"}, "train.launcher.kind=spark")
    build({"remote": "sc://host"}, "train.launcher.kind=local")
