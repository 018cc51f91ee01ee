"""Stream a dataset version as training batches: exact plan, reader threads, shuffled tf.data.

Blocks are read through Petastorm or by pyarrow alone (`block_reader`); pool and worker are our own
in both, because Petastorm's thread pool loses rows. No other package imports petastorm, and this
one does only where it was chosen. `split_stream` is the way in, `dataset` the one for tensors, and
`plain_parquet` that for folders without a version.
"""
