"""The whole road without a disk: lake, dataset, checkpoints, artifacts and predictions on S3.

MLflow's server has PostgreSQL behind it. Spark reads the lake by `s3a://`.
"""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import fsspec
import mlflow
import pytest
import yaml

from tests.e2e.running import ROOT, Done, headrace, mlflow_server
from tests.e2e.services import postgres, postgres_programs, seaweed
from tests.prepare.daily import TREE, day_of, write_day, write_places
from tests.s3 import KEY, S3, SECRET

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.long,
    pytest.mark.skipif(postgres_programs() is None, reason="PostgreSQL is not installed"),
]
# Hadoop 3.4 has its defaults with units, and classes of a newer AWS library; the older hadoop-aws
# of the tests has neither.
_OLDER = {
    "aws.credentials.provider": "com.amazonaws.auth.EnvironmentVariableCredentialsProvider",
    "threads.keepalivetime": 60,
    "connection.establish.timeout": 5000,
    "connection.timeout": 200000,
    "connection.ttl": 300000,
    "multipart.purge.age": 86400,
}


@pytest.fixture(scope="module")
def s3a(tmp_path_factory: pytest.TempPathFactory) -> str:
    """JARs that give Spark `s3a://`; a cluster brings its own."""
    folder = tmp_path_factory.mktemp("jars")
    uv = shutil.which("uv") or str(ROOT / ".tools/uv/bin/uv")
    subprocess.run(
        [uv, "pip", "install", "--python", sys.executable, "--no-deps", "--target", str(folder),
         "sagemaker-pyspark==1.4.5"],
        check=True, capture_output=True,
    )  # fmt: skip
    jars = [
        str(jar)
        for jar in folder.rglob("*.jar")
        if jar.name.startswith(("hadoop-aws", "aws-java-sdk-bundle"))
    ]
    assert len(jars) == 2, jars
    return ",".join(jars)


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[S3, dict[str, str]]]:
    folder = tmp_path_factory.mktemp("services")
    with ExitStack() as stack:
        s3 = stack.enter_context(seaweed(folder))
        database = stack.enter_context(postgres(folder))
        address = stack.enter_context(
            mlflow_server(
                folder, backend=database, artifacts="s3://mlflow/artifacts", **s3.environment
            )
        )
        yield s3, {**s3.environment, "MLFLOW_TRACKING_URI": address}


def test_the_road_without_a_disk(
    services: tuple[S3, dict[str, str]], s3a: str, tmp_path: Path
) -> None:
    s3, environment = services
    local, workdir = tmp_path / "local", tmp_path / "scratch"
    local.mkdir()
    write_places(local)
    for day in (1, 2, 3):
        write_day(local, day, day_of(day))
    files = fsspec.filesystem("s3", key=KEY, secret=SECRET, endpoint_url=s3.endpoint)
    files.put(f"{local}/lake", "lake/raw", recursive=True)
    tree = yaml.safe_load(yaml.safe_dump(TREE))
    for name in tree["source"]["tables"]:
        tree["source"]["tables"][name]["path"] = f"s3a://lake/raw/{name}"
    tree["dataset"]["path"] = "s3a://lake/datasets/daily"
    tree["train"] = {
        "epochs": 2, "global_batch_size": 64, "ranks": 2,
        "checkpoint": {"path": "s3://lake/checkpoints"},
    }  # fmt: skip
    hadoop = {f"spark.hadoop.fs.s3a.{key}": value for key, value in _OLDER.items()}
    tree["spark"] = {
        "conf": {
            **tree.get("spark", {}).get("conf", {}),
            **hadoop,
            "spark.jars": s3a,
            "spark.hadoop.fs.s3a.endpoint": s3.endpoint,
            "spark.hadoop.fs.s3a.path.style.access": True,
        }
    }
    recipe = tmp_path / "daily.yaml"
    recipe.write_text(yaml.safe_dump(tree))

    def stage(name: str, *options: str) -> Done:
        done = headrace(
            name, str(recipe), "--workdir", str(workdir), "--json", *options, **environment
        )
        assert done.code == 0, done.err
        assert SECRET not in done.out + done.err
        return done

    stage("doctor")
    prepared = stage("prepare").result
    assert prepared["dataset"]["path"] == "s3://lake/datasets/daily"
    assert prepared["ledger"]["read"] == 3 * 150
    trained = stage("train").result
    assert stage("evaluate").result["verdict"]["passed"]
    assert stage("promote").result["champion"] == 1
    scored = stage(
        "score", "--input", "s3a://lake/raw/events", "--output", "s3://lake/scores"
    ).result
    assert scored["ledger"]["read"] == 3 * 150

    # Where things are: on S3 and in PostgreSQL, and on this disk nothing but scratch.
    listed = {place: files.find(place) for place in ("lake/datasets", "lake/checkpoints")}
    assert all(listed.values()), listed
    assert files.find("lake/scores")
    client = mlflow.MlflowClient(environment["MLFLOW_TRACKING_URI"])
    assert client.get_model_version_by_alias("daily", "champion").version == "1"
    assert client.get_run(trained["run_id"]).info.status == "FINISHED"
    assert any(path.endswith("saved_model.pb") for path in files.find("mlflow/artifacts"))
    left = {p.relative_to(workdir).parts[0] for p in workdir.rglob("*") if p.is_file()}
    assert left <= {"spark"}, left
