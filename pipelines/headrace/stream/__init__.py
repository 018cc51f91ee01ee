"""From a dataset version to training batches: exact plan, Petastorm readers, shuffled tf.data.

Petastorm's `Reader` is kept; its worker and pool are replaced through its own extension points,
because the stock thread pool loses rows. The only home of petastorm.
"""
