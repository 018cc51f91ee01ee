"""Run the evaluate stage under spark-submit: `spark-submit jobs/evaluate.py RECIPE`."""

from headrace.commands import evaluate, run_job

if __name__ == "__main__":
    run_job(evaluate)
