"""spark-submit entry point of the train stage: `spark-submit jobs/train.py RECIPE [options]`."""

from pipelines.commands import train, run_job

if __name__ == "__main__":
    run_job(train)
