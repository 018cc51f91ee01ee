"""Check a recipe's `spark` section: where Spark is, and settings that nothing may change."""

from headrace.errors import Problem
from headrace.recipe import sections as s
from headrace.recipe.spark_settings import find_unpinned, format_setting
from headrace.redaction import redact_text


def check_spark(spark: s.Spark) -> list[Problem]:
    """Return problems of the server that is named, and of settings that rows depend on."""
    return _check_remote(spark) + [
        Problem(
            f'spark.conf."{key}"',
            f"is {format_setting(spark.conf[key])}; rows or their values depend on it, and in "
            f"every session of Headrace it is {pinned}",
            "remove it",
        )
        for key, pinned in find_unpinned(spark.conf).items()
    ]


def _check_remote(spark: s.Spark) -> list[Problem]:
    """Return problems of the server that is named, or that is named where a master is."""
    scheme, fix = "sc://", "set spark.remote: sc://host:port"
    problems = []
    if spark.master.startswith(scheme):
        text = "is the URL of a Spark Connect server, which is no master"
        problems.append(Problem("spark.master", text, fix))
    elif spark.remote is not None and "master" in spark.model_fields_set:
        text = f"is {spark.master}, and spark.remote names a server, which has a master of its own"
        problems.append(Problem("spark.master", text, "remove one of them"))
    if spark.remote is not None and not spark.remote.startswith(scheme):
        text = f"is {redact_text(spark.remote)!r}, expected the URL of a Spark Connect server"
        problems.append(Problem("spark.remote", text, fix))
    problems += [
        Problem(f'spark.conf."{key}"', "is not read", fix)
        for key in ("spark.remote", "spark.api.mode")
        if key in spark.conf
    ]
    return problems


def check_ranks_on_spark(spark: s.Spark, train: s.Train) -> list[Problem]:
    """Return the problem of ranks on the executors of a server."""
    if spark.remote is None or train.launcher.kind != "spark":
        return []
    text = "is spark: ranks on executors need a SparkContext, which a Spark Connect server has not"
    return [Problem("train.launcher.kind", text, "set local or hosts, or remove spark.remote")]
