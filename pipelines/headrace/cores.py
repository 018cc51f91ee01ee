"""Count the cores that this process may use."""

import os
from pathlib import Path


def count_cores() -> int:
    """Count the cores that this process may use: by its affinity, and by its container's quota."""
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return cores
    return cores if quota == "max" else max(1, min(cores, int(quota) // int(period)))
