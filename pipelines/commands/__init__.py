"""The commands behind `headrace` and `jobs/`: options, progress, results, exit codes.

Both front ends take the same functions from here, so that an option is written once.
"""

from pipelines.commands.datasets import diff, inspect, vacuum
from pipelines.commands.doctor import doctor
from pipelines.commands.guard import run_job
from pipelines.commands.judging import promote, rollback
from pipelines.commands.lakes import lake_app
from pipelines.commands.scoring import score
from pipelines.commands.stages import evaluate, prepare, run, train
from pipelines.commands.starting import init
from pipelines.commands.tuning import tune

__all__ = [
    "diff",
    "doctor",
    "evaluate",
    "init",
    "inspect",
    "lake_app",
    "prepare",
    "promote",
    "rollback",
    "run",
    "run_job",
    "score",
    "train",
    "tune",
    "vacuum",
]
