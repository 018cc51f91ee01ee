"""Find the engine of a session: by its JVM, or by what its server answers."""

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from headrace.spark_engine.engine import SparkEngine

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_CONNECT = "pyspark.sql.connect."
# Of sessions of a server, which are asked for what does not change once.
_engines: "WeakKeyDictionary[SparkSession, SparkEngine]" = WeakKeyDictionary()


def is_remote(session: "SparkSession") -> bool:
    """Return whether a session is one of Spark Connect."""
    return type(session).__module__.startswith(_CONNECT)


def find_engine(session: "SparkSession") -> SparkEngine:
    """Find the engine of a session."""
    if not is_remote(session):
        from headrace.spark_engine.classic import ClassicEngine

        return ClassicEngine(session)
    if session not in _engines:
        from headrace.spark_engine.connect import ConnectEngine

        _engines[session] = ConnectEngine(session)
    return _engines[session]
