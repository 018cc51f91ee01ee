"""Say why rows cannot be prepared without Spark."""


class NeedsSparkError(Exception):
    """What only Spark does right: the stage starts again, with Spark. The text says what it is."""
