"""spark-submit entry point of the prepare stage: `spark-submit jobs/prepare.py RECIPE`."""

from headrace.commands import prepare, run_job

if __name__ == "__main__":
    run_job(prepare)
