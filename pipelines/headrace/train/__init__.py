"""Train a Keras model on a dataset version, on Horovod ranks, and register it with MLflow."""

from headrace.train.run import Trained, train

__all__ = ["Trained", "train"]
