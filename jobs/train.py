"""Run the train stage under spark-submit: `spark-submit jobs/train.py RECIPE`."""

from headrace.commands import run_job, train

if __name__ == "__main__":
    run_job(train)
