"""Score raw rows with a registered model: predictions back into the lake, on Spark or without it.

The way in is `headrace.score.run.score`. Nothing is imported here: Spark's workers import what is
in this package, and each import costs all of them.

- `plan`: source partitions that are new or changed since they were scored.
- `contract`: the columns that rows must have; `reading`: the raw rows on Spark, joined and checked,
  with nothing of the label.
- `attempt`, `job`: what a job is given, and what it does from reading to the commit; `record`: what
  it leaves beside the predictions.
- `score_jobs`: who reads and predicts the rows, which is Spark (`spark_jobs`) or processes of this
  machine (`local/`).
- `predicting`: the function that tasks run; `network`: the model in them; `files`: what
  they write; `task_results`: what they report.
- `table`: columns and partitions of the predictions; `monitor`: drift of rows and predictions.
- `session`: Spark's settings for scoring, and its Python processes warmed up.
"""
