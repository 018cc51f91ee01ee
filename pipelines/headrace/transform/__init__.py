"""The fitted transform: from the recipe and the train split's statistics to what a model reads.

`fit.py` makes a `spec.TransformSpec`, which `transform.json` holds. It is executed twice and gives
the same values for every input: `arrow.py` runs it on Arrow batches (in Spark's executors, and on a
driver), `graph.py` is a Keras layer inside the model. `derived.py` and `graph_derived.py` compute
derived columns for them, `calendar.py` has the arithmetic that both use. What depends on a kind of
feature is in `features`, what depends on a kind of label in `labels`.
"""
