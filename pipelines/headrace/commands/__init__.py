"""Provide the commands of `headrace` and `jobs/`: options, progress, results, exit codes.

Both front ends take the same functions from here, so that an option is defined once.
"""

from headrace.commands.check import check
from headrace.commands.checkpoints import vacuum_checkpoints
from headrace.commands.datasets import diff, inspect, restore, vacuum
from headrace.commands.doctor import doctor
from headrace.commands.erase import erase
from headrace.commands.frame import CONTEXT_SETTINGS, run_guarded, run_job
from headrace.commands.init import init
from headrace.commands.install_horovod import install_horovod
from headrace.commands.lakes import lake_app
from headrace.commands.optimize import optimize
from headrace.commands.output_options import add_output_options
from headrace.commands.promote import promote, rollback
from headrace.commands.schema import schema
from headrace.commands.score import score
from headrace.commands.stages import evaluate, prepare, run, train
from headrace.commands.tune import tune

__all__ = [
    "CONTEXT_SETTINGS",
    "add_output_options",
    "check",
    "diff",
    "doctor",
    "erase",
    "evaluate",
    "init",
    "inspect",
    "install_horovod",
    "lake_app",
    "optimize",
    "prepare",
    "promote",
    "restore",
    "rollback",
    "run",
    "run_guarded",
    "run_job",
    "schema",
    "score",
    "train",
    "tune",
    "vacuum",
    "vacuum_checkpoints",
]
