"""Runs, metrics, artifacts and the model registry. The only home of mlflow."""
