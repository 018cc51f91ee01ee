"""Run the whole pipeline under spark-submit: `spark-submit jobs/pipeline.py RECIPE [options]`."""

from headrace.commands import run, run_job

if __name__ == "__main__":
    run_job(run)
