"""Ask a Spark behind Spark Connect: there is no JVM here, and a frame is no more than a description
of itself until the server looks at it."""

import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from headrace.spark_engine import connect_catalog
from headrace.spark_engine.engine import FileRelation, Shared, SparkEngine, has_file
from headrace.spark_engine.plan_text import drop_broadcast_sides

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, DataFrameReader

_Value = TypeVar("_Value")
_NO_COLUMN = "`headrace` int"  # a schema that no file is opened for
_PARTITIONS = re.compile(r"splits=(?:Some\()?(\d+)")
_ABSOLUTE = re.compile(r"/|[a-zA-Z][\w+.-]*:")
_COUNTED_ROWS = 1 << 16
_CANCEL_SECONDS, _FORGET_SECONDS = 15.0, 5.0
_HADOOP = "spark.hadoop."


@dataclass(frozen=True)
class ClosedOver(Generic[_Value]):
    """A value that goes to the server with each function that uses it.

    Attributes:
        value: of the driver, and of tasks.
    """

    value: _Value

    def unpersist(self) -> None:
        """Do nothing: the server keeps no value beyond its function."""


class ConnectEngine(SparkEngine):
    """The engine of a session of Spark Connect."""

    def get_master(self) -> str:
        return str(self.session.conf.get("spark.master", "unknown"))

    def get_parallelism(self) -> int:
        return self._parallelism

    @cached_property
    def _parallelism(self) -> int:
        configured = self.session.conf.get("spark.default.parallelism", None)
        if configured:
            return int(configured)
        # Rows from nowhere are cut into as many partitions as Spark has cores.
        said = _PARTITIONS.search(self._explain(self.session.range(1)))
        if said:
            return int(said[1])
        import pyspark.sql.functions as F

        rows = self.session.range(_COUNTED_ROWS).select(F.spark_partition_id().alias("partition"))
        return rows.distinct().count()

    def get_java_property(self, name: str) -> str:
        with suppress(Exception):  # a Spark that forbids it
            query = f"SELECT java_method('java.lang.System', 'getProperty', '{name}')"
            row = self.session.sql(query).first()
            return str(row[0]) if row else "unknown"
        return "unknown"

    def isolate_workers(self) -> None:
        """Do nothing: the server started them, and `remote_workers` looks at what they import."""

    def list_start_settings(self) -> dict[str, str]:
        return {row["key"]: row["value"] for row in self.session.sql("SET").collect()}

    def set_settings(self, settings: Mapping[str, str]) -> dict[str, str]:
        from pyspark.errors import PySparkException

        known, others = self.list_start_settings(), {}
        for key, value in settings.items():
            if known.get(key) == value:
                continue
            # What a session sets is handed to Hadoop under its own name.
            name = key.removeprefix(_HADOOP)
            try:
                if self._is_of_session(name):
                    self.session.conf.set(name, value)
                    continue
            except PySparkException:  # it is set when a server starts, or not by its users
                pass
            kept = known.get(key) or self._find_default(key)
            if kept is None or kept.lower() != value.lower():
                others[key] = "not set" if kept is None else kept
        return others

    def _is_of_session(self, key: str) -> bool:
        """Return whether a session may have a setting, and not whoever starts a server: Spark
        takes `spark.executorEnv.X` of a session without a word, and does nothing with it."""
        is_known = key.startswith("spark.sql.") or not key.startswith("spark.")
        return is_known or self.session.conf.isModifiable(key)

    def _find_default(self, key: str) -> str | None:
        with suppress(Exception):
            return self.session.conf.get(key, None)
        return None

    def unpersist(self, frame: "DataFrame") -> None:
        call_briefly(frame.unpersist, _FORGET_SECONDS)

    def share(self, value: _Value) -> Shared[_Value]:
        return ClosedOver(value)

    def send_file(self, path: str) -> None:
        self.session.addArtifacts(path, file=True)

    def tag_jobs(self, tag: str) -> None:
        self.session.addTag(tag)

    def cancel_jobs(self, tag: str) -> None:
        self.session.interruptTag(tag)

    def cancel_on_failure(self, tag: str) -> AbstractContextManager[None]:
        return self._cancel_on_failure(tag)

    @contextmanager
    def _cancel_on_failure(self, tag: str) -> Iterator[None]:
        self.session.addTag(tag)
        try:
            yield
        except BaseException:
            call_briefly(lambda: self.session.interruptTag(tag))
            raise
        finally:
            self.session.removeTag(tag)

    def resolve_path(self, path: str) -> str:
        # A server has another working directory than this process.
        return path if _ABSOLUTE.match(path) else os.path.abspath(path)  # noqa: PTH100 a pattern

    def resolve_plan(self, frame: "DataFrame") -> None:
        # Not by its schema, which PySpark takes from the frame below where it cannot differ.
        _ = frame.isStreaming

    def parse_expression(self, text: str) -> None:
        import pyspark.sql.functions as F
        from pyspark.errors import AnalysisException, ParseException

        try:
            _ = self.session.range(0).select(F.expr(text)).schema
        except ParseException:
            raise
        except AnalysisException:  # it has columns, which a range has not
            pass

    def compile_pattern(self, pattern: str) -> None:
        import pyspark.sql.functions as F

        self.session.range(1).select(F.lit("").rlike(pattern)).collect()

    def describe_plan(self, frame: "DataFrame") -> str:
        return drop_broadcast_sides(self._explain(frame))

    def _explain(self, frame: Any) -> str:
        return str(frame._explain_string(mode="simple"))  # `explain` prints it

    def list_read_files(self, frame: "DataFrame") -> list[str]:
        return [str(url) for url in frame.inputFiles()]

    def open_store(self, scheme: str) -> None:
        return None

    def has_file(self, url: str) -> bool:
        return has_file(self.session, url)

    def find_partition_columns(
        self, frame: "DataFrame", reader: "DataFrameReader", files: str | list[str]
    ) -> list[str] | None:
        # Spark adds them to whatever columns files are said to have.
        return list(reader.schema(_NO_COLUMN).load(files).columns[1:])

    def find_relations(self, frame: "DataFrame", table: str) -> list[FileRelation]:
        return connect_catalog.find_relations(self.session, frame, table, self._explain(frame))

    def read_with_names(
        self, relation: FileRelation, table: str, names: Mapping[str, str]
    ) -> "DataFrame":
        return connect_catalog.read_with_names(self.session, relation, table, names)

    def parse_table_name(self, name: str) -> list[str]:
        return connect_catalog.parse_table_name(self.session, name)

    def has_session_table(self, quoted: str) -> bool:
        return self.session.catalog.tableExists(quoted)

    def find_session_place(self, quoted: str) -> str | None:
        return connect_catalog.describe_table(self.session, quoted).get("Location")

    def get_hadoop_setting(self, key: str) -> str | None:
        return self.session.conf.get(f"spark.hadoop.{key}", None)

    def qualify_path(self, url: str) -> str:
        return connect_catalog.qualify_path(url, self.get_hadoop_setting("fs.defaultFS"))


def call_briefly(work: Callable[[], object], seconds: float = _CANCEL_SECONDS) -> None:
    """Call the server without waiting long, nor failing: it may be what is gone."""

    def call() -> None:
        with suppress(Exception):
            work()

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(seconds)
