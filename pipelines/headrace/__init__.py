"""Headrace: lake to trained, registered model (Spark, Petastorm, Horovod, MLflow).

Importing the package costs nothing: every engine is imported where it is used, because a prepare
job must not pay for TensorFlow nor a rank for Spark.
"""

import os

# Read by TensorFlow's C++ core and by Keras when they are first imported, never later.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

__version__ = "0.1.0"
