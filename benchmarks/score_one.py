"""Run one task of `score.py` in this process: `python -m benchmarks.score_one JOB RESULT`."""

import json
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.headrace import build_clicks_recipe
from benchmarks.report import measure_cpu_seconds
from headrace.examples.synthetic import TEXT_NUMERIC
from headrace.recipe.sections import Spark
from headrace.spark_session import spark_session, stop_own_session

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_PARTS_ROWS = 262_144


def main() -> None:
    job, result = json.loads(sys.argv[1]), Path(sys.argv[2])
    if job["task"] in ("parts", "agreement"):
        figures = {"parts": _measure_parts, "agreement": _compare_predictions}[job["task"]](job)
    else:
        figures = _time_contender(job)
    result.write_text(json.dumps(figures), encoding="utf-8")


def _time_contender(job: dict[str, Any]) -> dict[str, Any]:
    shutil.rmtree(build_output_path(job), ignore_errors=True)
    spark = spark_session(Spark(), app_name=job["task"], scratch=f"{job['scratch']}/spark")
    try:
        spark.range(1000).count()
        cpu, began = measure_cpu_seconds(), time.monotonic()
        {"headrace_on_spark": _run_headrace, "spark_udf": _run_spark_udf}[job["task"]](spark, job)
        return {
            "seconds": round(time.monotonic() - began, 3),
            "cpu_seconds": round(measure_cpu_seconds() - cpu, 2),
        }
    finally:
        stop_own_session()


def build_output_path(job: dict[str, Any], task: str = "") -> str:
    return f"{job['out']}-{task or job['task']}"


def _run_headrace(spark: "SparkSession", job: dict[str, Any]) -> None:
    from headrace.progress import ignore_progress
    from headrace.score.run import score

    recipe = build_clicks_recipe(job["lake"], f"{job['home']}/dataset")
    score(
        recipe,
        table=f"{job['lake']}/clicks",
        output=build_output_path(job),
        workdir=job["home"],
        report=ignore_progress,
        model_uri=job["uri"],
    )


def _run_spark_udf(spark: "SparkSession", job: dict[str, Any]) -> None:
    """Predict as MLflow's documentation shows, on the same columns."""
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
    predictions = rows.select("event_id", predict(F.struct(*names)).alias("p"))
    predictions.select("event_id", "p.*").write.parquet(build_output_path(job))


def _measure_parts(job: dict[str, Any]) -> dict[str, Any]:
    """Measure the seconds of one core per million rows for each part of scoring in Python."""
    import mlflow
    import numpy as np
    import pyarrow as pa
    import pyarrow.dataset as ds
    import pyarrow.parquet as pq

    from headrace.score.network import load_network, pack_folder
    from headrace.transform.arrow import ArrowTransform, stack_inputs
    from headrace.transform.spec import TransformSpec

    mlflow.set_tracking_uri(f"sqlite:///{job['home']}/mlflow/mlflow.db")
    folder = mlflow.artifacts.download_artifacts(f"{job['uri']}/artifacts")
    spec = TransformSpec.from_json(Path(folder, "transform.json").read_text(encoding="utf-8"))
    pack_folder(f"{folder}/network", f"{folder}/model.zip")
    pa.set_cpu_count(1)
    seconds: dict[str, float] = {}

    def record_lap(name: str, began: float) -> float:
        now = time.process_time()
        seconds[name] = seconds.get(name, 0.0) + now - began
        return now

    began = time.process_time()
    names = [column.name for column in spec.raw]
    table = ds.dataset(f"{job['lake']}/clicks", format="parquet").head(
        _PARTS_ROWS, columns=names, use_threads=False
    )
    for name in TEXT_NUMERIC:  # which Spark casts in a scoring job
        numbers = table[name].to_pandas()
        import pandas as pd

        cast = pa.array(pd.to_numeric(numbers, errors="coerce"), pa.float64(), from_pandas=True)
        table = table.set_column(table.column_names.index(name), name, cast)
    began = record_lap("reading", began)
    network = load_network(f"{folder}/model.zip", spec, 1)
    network({n: np.zeros((65_536, *i.shape), i.dtype) for n, i in spec.inputs.items()})
    transform = ArrowTransform(spec)
    began = time.process_time()
    outputs = []
    for begin in range(0, table.num_rows, 65_536):
        chunk = table.slice(begin, 65_536).combine_chunks()
        inputs = stack_inputs(transform(chunk), spec)
        began = record_lap("transform", began)
        outputs.append(network(inputs))
        began = record_lap("network", began)
    columns = spec.label.definition.predict_columns(np.concatenate(outputs), spec.label, 0.5)
    pq.write_table(pa.table(columns), pa.BufferOutputStream())
    record_lap("writing", began)
    scale = 1e6 / table.num_rows
    return {"seconds_a_million": {name: round(s * scale, 3) for name, s in seconds.items()}}


def _compare_predictions(job: dict[str, Any]) -> dict[str, Any]:
    """Compare the contenders' predictions of the same rows.

    Headrace quarantines rows whose text is no number, where the other contender predicts with null.
    """
    import numpy as np
    import pyarrow.dataset as ds

    probability = {}
    for contender in ("headrace", "headrace_on_spark", "spark_udf"):
        files = ds.dataset(
            build_output_path(job, contender), format="parquet", ignore_prefixes=["_", "."]
        )
        frame = files.to_table(columns=["event_id", "probability"]).to_pandas()
        rows = frame.drop_duplicates("event_id").set_index("event_id")
        probability[contender] = rows["probability"]
    both = (
        probability["headrace"]
        .to_frame("headrace")
        .join(probability["headrace_on_spark"].to_frame("headrace_on_spark"))
        .join(probability["spark_udf"].to_frame("spark_udf"))
    )
    assert not both.isna().any(axis=None), "a contender has not scored all rows"
    assert len(both) == len(probability["headrace_on_spark"])
    return {
        "largest_difference": float(np.abs(both["headrace"] - both["spark_udf"]).max()),
        "other_bits": int((both["headrace"] != both["headrace_on_spark"]).sum()),
        "rows_compared": len(both),
    }


if __name__ == "__main__":
    main()
