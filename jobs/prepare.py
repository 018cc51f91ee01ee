"""Run the prepare stage under spark-submit: `spark-submit jobs/prepare.py RECIPE`."""

from headrace.commands import prepare, run_job

if __name__ == "__main__":
    run_job(prepare)
