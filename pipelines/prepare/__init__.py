"""From raw tables to a published dataset version, with Spark: read, clean, split, fit, write."""

from pipelines.prepare.run import Prepared, prepare

__all__ = ["Prepared", "prepare"]
