"""Ask a Spark whose driver is a JVM of this process."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

from headrace.spark_engine import classic_catalog
from headrace.spark_engine.classic_files import HadoopFiles
from headrace.spark_engine.engine import FileRelation, Shared, SparkEngine, has_file

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, DataFrameReader

_Value = TypeVar("_Value")


class ClassicEngine(SparkEngine):
    """The engine of a session with a SparkContext."""

    def get_master(self) -> str:
        return str(self.session.sparkContext.master)

    def get_parallelism(self) -> int:
        return int(self.session.sparkContext.defaultParallelism)

    def get_java_property(self, name: str) -> str:
        jvm: Any = self.session.sparkContext._jvm
        return str(jvm.System.getProperty(name)) if jvm else "unknown"

    def isolate_workers(self) -> None:
        self.session.sparkContext.environment["PYTHONSAFEPATH"] = "1"

    def list_start_settings(self) -> dict[str, str]:
        return dict(self.session.sparkContext.getConf().getAll())

    def set_settings(self, settings: Mapping[str, str]) -> dict[str, str]:
        for key, value in settings.items():
            self.session.conf.set(key, value)
        return {}

    def share(self, value: _Value) -> Shared[_Value]:
        return self.session.sparkContext.broadcast(value)

    def unpersist(self, frame: "DataFrame") -> None:
        frame.unpersist()

    def send_file(self, path: str) -> None:
        self.session.sparkContext.addFile(path)

    def tag_jobs(self, tag: str) -> None:
        self.session.sparkContext.addJobTag(tag)

    def cancel_jobs(self, tag: str) -> None:
        self.session.sparkContext.cancelJobsWithTag(tag)

    def cancel_on_failure(self, tag: str) -> AbstractContextManager[None]:
        return nullcontext()  # what this process started ends with its JVM

    def resolve_path(self, path: str) -> str:
        return path

    def resolve_plan(self, frame: "DataFrame") -> None:
        """Do nothing: Spark resolved the frame when it was made."""

    def parse_expression(self, text: str) -> None:
        import pyspark.sql.functions as F

        F.expr(text)

    def compile_pattern(self, pattern: str) -> None:
        jvm = self.session.sparkContext._jvm
        assert jvm is not None
        jvm.java.util.regex.Pattern.compile(pattern)

    def describe_plan(self, frame: "DataFrame") -> str:
        return str(frame._jdf.queryExecution().sparkPlan().toString())

    def list_read_files(self, frame: "DataFrame") -> list[str]:
        # `inputFiles` of a frame has each file once.
        leaves = frame._jdf.queryExecution().analyzed().collectLeaves()
        plans = [leaves.apply(i) for i in range(leaves.size())]
        files = [plan for plan in plans if plan.getClass().getSimpleName() == "LogicalRelation"]
        return [str(url) for plan in files for url in plan.relation().location().inputFiles()]

    def open_store(self, scheme: str) -> Any:
        return HadoopFiles(self.session, scheme)

    def has_file(self, url: str) -> bool:
        return has_file(self.session, url)

    def find_partition_columns(
        self, frame: "DataFrame", reader: "DataFrameReader", files: str | list[str]
    ) -> list[str] | None:
        plan = frame._jdf.queryExecution().analyzed()
        try:
            while plan.children().size() == 1:  # what is computed from its rows
                plan = plan.children().head()
            return list(plan.relation().partitionSchema().fieldNames())
        except Exception:  # py4j: not a relation of files
            return None

    def find_relations(self, frame: "DataFrame", table: str) -> list[FileRelation]:
        return classic_catalog.find_relations(frame)

    def read_with_names(
        self, relation: FileRelation, table: str, names: Mapping[str, str]
    ) -> "DataFrame":
        return classic_catalog.read_with_names(self.session, relation.handle, names)

    def parse_table_name(self, name: str) -> list[str]:
        return classic_catalog.parse_table_name(self.session, name)

    def has_session_table(self, quoted: str) -> bool:
        return classic_catalog.has_table(self.session, quoted)

    def find_session_place(self, quoted: str) -> str | None:
        return classic_catalog.find_place(self.session, quoted)

    def get_hadoop_setting(self, key: str) -> str | None:
        value = self.session._jsc.hadoopConfiguration().get(key)
        return None if value is None else str(value)

    def qualify_path(self, url: str) -> str:
        return classic_catalog.qualify_path(self.session, url)
