"""The commands behind `headrace` and `jobs/`: options, progress, results, exit codes.

Both front ends take the same functions from here, so that an option is written once.
"""

from pipelines.commands.datasets import diff, inspect, vacuum
from pipelines.commands.guard import run_job
from pipelines.commands.lakes import lake_app
from pipelines.commands.stages import evaluate, prepare, run, train

__all__ = [
    "diff",
    "evaluate",
    "inspect",
    "lake_app",
    "prepare",
    "run",
    "run_job",
    "train",
    "vacuum",
]
