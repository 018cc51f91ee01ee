"""One run of a contender of `score.py`, in this process: `-m benchmarks.score_one JOB RESULT`."""

import json
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from benchmarks.headrace import clicks_recipe
from headrace.examples.synthetic import TEXT_NUMERIC
from headrace.recipe.sections import Spark
from headrace.spark_session import spark_session, stop_own_session

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_PARTS_ROWS = 262_144


def main() -> None:
    job, result = json.loads(sys.argv[1]), Path(sys.argv[2])
    if job["what"] in ("parts", "agreement"):
        found = {"parts": _parts, "agreement": _agreement}[job["what"]](job)
    else:
        found = _timed(job)
    result.write_text(json.dumps(found), encoding="utf-8")


def _timed(job: dict[str, Any]) -> dict[str, Any]:
    shutil.rmtree(_out(job), ignore_errors=True)
    spark = spark_session(Spark(), app_name=job["what"], scratch=f"{job['scratch']}/spark")
    try:
        spark.range(1000).count()
        cpu, began = _cpu_seconds(), time.monotonic()
        {"headrace": _headrace, "spark_udf": _spark_udf}[job["what"]](spark, job)
        return {
            "seconds": round(time.monotonic() - began, 3),
            "cpu_seconds": round(_cpu_seconds() - cpu, 2),
        }
    finally:
        stop_own_session()


def _out(job: dict[str, Any], what: str = "") -> str:
    return f"{job['out']}-{what or job['what']}"


def _headrace(spark: "SparkSession", job: dict[str, Any]) -> None:
    from headrace.progress import silent
    from headrace.score.run import score

    recipe = clicks_recipe(job["lake"], f"{job['home']}/dataset")
    score(
        recipe,
        table=f"{job['lake']}/clicks",
        output=_out(job),
        workdir=job["home"],
        report=silent,
        model_uri=job["uri"],
    )


def _spark_udf(spark: "SparkSession", job: dict[str, Any]) -> None:
    """What MLflow's documentation shows, on the same columns."""
    import mlflow
    import pyspark.sql.functions as F

    mlflow.set_tracking_uri(f"sqlite:///{job['home']}/mlflow/mlflow.db")
    names = mlflow.pyfunc.load_model(job["uri"]).metadata.get_input_schema().input_names()
    rows = spark.read.parquet(f"{job['lake']}/clicks")
    for name in TEXT_NUMERIC:
        rows = rows.withColumn(name, F.expr(f"try_cast({name} AS double)"))
    predict = mlflow.pyfunc.spark_udf(
        spark, job["uri"], result_type="probability double, prediction long", env_manager="local"
    )
    found = rows.select("event_id", predict(F.struct(*names)).alias("p"))
    found.select("event_id", "p.*").write.parquet(_out(job))


def _cpu_seconds() -> float:
    """Of this process and all below it, those that have ended included."""
    own = psutil.Process()
    total = 0.0
    for process in [own, *own.children(recursive=True)]:
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def _parts(job: dict[str, Any]) -> dict[str, Any]:
    """What one core does with the rows once they are in Python, a million rows."""
    import mlflow
    import numpy as np
    import pyarrow as pa
    import pyarrow.dataset as ds
    import pyarrow.parquet as pq

    from headrace.score.network import network_of, packed
    from headrace.score.predicting import predictions_of
    from headrace.transform.arrow import ArrowTransform, stacked_inputs
    from headrace.transform.spec import TransformSpec

    mlflow.set_tracking_uri(f"sqlite:///{job['home']}/mlflow/mlflow.db")
    folder = mlflow.artifacts.download_artifacts(f"{job['uri']}/artifacts")
    spec = TransformSpec.from_json(Path(folder, "transform.json").read_text(encoding="utf-8"))
    packed(f"{folder}/network", f"{folder}/model.zip")
    pa.set_cpu_count(1)
    seconds: dict[str, float] = {}

    def lap(name: str, began: float) -> float:
        now = time.process_time()
        seconds[name] = seconds.get(name, 0.0) + now - began
        return now

    began = time.process_time()
    names = [column.name for column in spec.raw]
    table = ds.dataset(f"{job['lake']}/clicks", format="parquet").head(
        _PARTS_ROWS, columns=names, use_threads=False
    )
    for name in TEXT_NUMERIC:  # in Spark's own hands, there
        numbers = table[name].to_pandas()
        import pandas as pd

        cast = pa.array(pd.to_numeric(numbers, errors="coerce"), pa.float64(), from_pandas=True)
        table = table.set_column(table.column_names.index(name), name, cast)
    began = lap("reading", began)
    network = network_of(f"{folder}/model.zip", spec, 1)
    network({n: np.zeros((65_536, *i.shape), i.dtype) for n, i in spec.inputs.items()})
    transform = ArrowTransform(spec)
    began = time.process_time()
    outputs = []
    for begin in range(0, table.num_rows, 65_536):
        piece = table.slice(begin, 65_536).combine_chunks()
        inputs = stacked_inputs(transform(piece), spec)
        began = lap("transform", began)
        outputs.append(network(inputs))
        began = lap("network", began)
    columns = predictions_of(np.concatenate(outputs), spec.label, 0.5)
    pq.write_table(pa.table(columns), pa.BufferOutputStream())
    lap("writing", began)
    scale = 1e6 / table.num_rows
    return {"seconds_a_million": {name: round(s * scale, 3) for name, s in seconds.items()}}


def _agreement(job: dict[str, Any]) -> dict[str, Any]:
    """How far the contenders' predictions of the same rows are apart.

    Headrace keeps rows aside whose text is no number, where the other takes null for it.
    """
    import numpy as np
    import pyarrow.dataset as ds

    read = {}
    for what in ("headrace", "spark_udf"):
        files = ds.dataset(_out(job, what), format="parquet", ignore_prefixes=["_", "."])
        frame = files.to_table(columns=["event_id", "probability"]).to_pandas()
        read[what] = frame.drop_duplicates("event_id").set_index("event_id")["probability"]
    both = read["headrace"].to_frame("one").join(read["spark_udf"].to_frame("other"))
    assert not both["other"].isna().any(), "there are rows that the other has not scored"
    difference = float(np.abs(both["one"] - both["other"]).max())
    return {"largest_difference": difference, "rows_compared": len(both)}


if __name__ == "__main__":
    main()
