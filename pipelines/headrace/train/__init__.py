"""From a dataset version to a registered model version: Keras on Horovod ranks, tracked."""

from headrace.train.run import Trained, train

__all__ = ["Trained", "train"]
