"""Run the score stage under spark-submit: `spark-submit jobs/score.py RECIPE --input …`."""

from headrace.commands import run_job, score

if __name__ == "__main__":
    run_job(score)
