"""Import MLflow and its stores where there is time for it: before it is known what is recorded."""

from headrace.tracking.environment import silence_mlflow

silence_mlflow()

import mlflow.store.model_registry.sqlalchemy_store  # noqa: E402
import mlflow.store.tracking.sqlalchemy_store  # noqa: E402, F401
