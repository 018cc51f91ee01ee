"""Find how many trials a machine can run at once, and what part of it each of them gets."""

import shutil
import subprocess
from collections.abc import Mapping

from headrace.cores import count_cores
from headrace.progress import Progress, Report
from headrace.recipe import Recipe

_VISIBLE = "CUDA_VISIBLE_DEVICES"


def plan_slots(
    recipe: Recipe, environment: Mapping[str, str], report: Report
) -> list[dict[str, str]]:
    """Plan the slots of a search: as many as `tune.parallel` asks for and the machine has room for.

    A slot has the cores and GPUs of a training of its own: trials that share them would not only be
    slower, their speed would depend on each other.

    Args:
        recipe: tune.parallel, train.ranks, max_ranks and threads_per_rank count.
        environment: normally `os.environ`.
        report: told where there are fewer than asked for.

    Returns:
        the variables of each slot's trials; one slot at least.
    """
    wanted = recipe.tune.parallel
    if wanted == 1:
        return [{}]
    train = recipe.train
    ranks = max(train.rank_count, train.max_ranks or 0)  # an elastic training may grow
    threads = train.threads_per_rank
    cores, gpus = count_cores(), list_gpus(environment)
    fitting = max(1, cores // (ranks * threads))
    have = f"{cores} cores, and a trial takes {ranks * threads}"
    if gpus and len(gpus) // ranks < fitting:
        fitting = max(1, len(gpus) // ranks)
        have = f"{len(gpus)} GPUs, and a trial takes {ranks}"
    count = min(wanted, fitting)
    if count < wanted:
        report(Progress(f"{count} of {wanted} trials at a time (tune.parallel): there are {have}"))
    if len(gpus) < count * ranks:
        return [{} for _ in range(count)]
    return [{_VISIBLE: ",".join(gpus[slot * ranks : (slot + 1) * ranks])} for slot in range(count)]


def list_gpus(environment: Mapping[str, str]) -> list[str]:
    """List the GPUs that a rank would see: those that are visible, else all of the driver's."""
    if _VISIBLE in environment:
        visible = environment[_VISIBLE].split(",")
        return [gpu.strip() for gpu in visible if gpu.strip() not in ("", "-1", "NoDevFiles")]
    smi = shutil.which("nvidia-smi", path=environment.get("PATH"))
    if not smi:
        return []
    done = subprocess.run(
        [smi, "--list-gpus"], capture_output=True, text=True, check=False, timeout=60
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("GPU ")]
    return [str(number) for number in range(len(lines))] if not done.returncode else []
