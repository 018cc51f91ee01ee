"""spark-submit entry point of the whole road: `spark-submit jobs/pipeline.py RECIPE [options]`."""

from headrace.commands import run, run_job

if __name__ == "__main__":
    run_job(run)
