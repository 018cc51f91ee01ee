"""From raw tables to a published dataset version, on Spark: read, clean, split, fit, write, commit.

The way in is `run.prepare`. A build takes these steps:

- `dataset_root`: whether versions can be published where the recipe says.
- `plan`: which source partitions are processed, and whether the transform is fitted again;
  `compatibility`: what has to be as it was where rows are added to a version.
- `clean`: every row with its label (`labels`), its split (`split`) and the bucket it goes to
  (`assign`).
- `build`: the two Spark jobs on the rows of an `attempt`. `shuffle/` is the first: rows of one key
  meet, duplicates go, the transform is fitted. `write/` is the second: rows are transformed and
  written to the dataset's files; a `background_job` keeps rejected rows meanwhile.
- `refusals`, `drift`: reasons to publish nothing, or to fit again.
- `accounts`, `report`, `publish`: ledgers and the profile of what was written, the page for people,
  and the commit; `track`: the build as a run of MLflow.
- Without Spark: `restore` publishes an earlier version again, `optimize` the same rows in fewer
  files.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headrace.prepare.run import BuildRequest, Prepared, prepare

__all__ = ["BuildRequest", "Prepared", "prepare"]


def __getattr__(name: str) -> Any:
    """Import the stage when it is asked for: Spark's Python workers need its kernels alone."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from headrace.prepare import run

    return getattr(run, name)
