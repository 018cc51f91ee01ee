"""Stream a dataset version as training batches: exact plan, Petastorm readers, shuffled tf.data.

Petastorm's `Reader` reads; its worker and pool are replaced through its own extension points,
because the stock thread pool loses rows. No other package imports petastorm. `split_stream` is the
way in, `dataset` the one for tensors, and `plain_parquet` that for folders without a version.
"""
