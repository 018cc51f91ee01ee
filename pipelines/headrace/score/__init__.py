"""Score raw rows with a registered model: predictions back into the lake, on Spark.

The way in is `headrace.score.run.score`. Nothing is imported here: Spark's workers import what is
in this package, and each import costs all of them.
"""
