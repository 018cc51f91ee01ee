"""Record runs, metrics, artifacts, models and verdicts in MLflow. The only home of mlflow."""
