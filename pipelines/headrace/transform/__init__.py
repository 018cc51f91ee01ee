"""The fitted transform: written once (`spec.py`), executed twice.

`arrow.py` runs it on Arrow batches (inside Spark's executors, see `spark.py`), `graph.py` builds it
as Keras layers inside the model. Both must give the same values for every input.
"""
