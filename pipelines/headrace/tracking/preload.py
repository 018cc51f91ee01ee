"""Import MLflow and its stores where there is time for it: before it is known what is recorded."""

from headrace.garbage import pause_collection
from headrace.tracking.environment import silence_mlflow

silence_mlflow()

with pause_collection():
    import mlflow.store.model_registry.sqlalchemy_store
    import mlflow.store.tracking.sqlalchemy_store  # noqa: F401
