"""Say what the stages ask of Spark beside DataFrames, whichever way they reach it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, DataFrameReader, SparkSession

_Value = TypeVar("_Value")
_Shared_co = TypeVar("_Shared_co", covariant=True)


class Shared(Protocol[_Shared_co]):
    """A value that every task has: `pyspark.Broadcast` is one."""

    @property
    def value(self) -> _Shared_co:
        """Return the value, in the driver and in tasks."""

    def unpersist(self) -> None:
        """Have executors forget the value."""


@dataclass(frozen=True)
class FileRelation:
    """Parquet files that a table of a catalog, or a view of such, reads.

    Attributes:
        urls: of the files, encoded as Spark lists them.
        columns: that are declared of them.
        is_table: whether rows are those of a table, and none is computed.
        handle: the engine's own.
    """

    urls: Sequence[str]
    columns: Sequence[str]
    is_table: bool
    handle: Any


class SparkEngine(ABC):
    """What the stages ask of Spark beside DataFrames."""

    def __init__(self, session: "SparkSession") -> None:
        """
        Args:
            session: of Spark.
        """
        self.session = session

    @abstractmethod
    def get_master(self) -> str:
        """Return the master of the cluster, for people."""

    @abstractmethod
    def get_parallelism(self) -> int:
        """Return how many tasks run at the same time, as Spark counts its cores."""

    @abstractmethod
    def get_java_property(self, name: str) -> str:
        """Return a property of the driver's Java; "unknown" where it does not say."""

    @abstractmethod
    def isolate_workers(self) -> None:
        """Keep the working directory out of the search path of Python workers, where it can be
        chosen: Spark starts them by `python -m`, which would import a folder `headrace` there."""

    @abstractmethod
    def list_start_settings(self) -> dict[str, str]:
        """List the settings that Spark was started with."""

    @abstractmethod
    def set_settings(self, settings: Mapping[str, str]) -> dict[str, str]:
        """Set settings of the session.

        Returns:
            those that cannot be set and have another value -> that value, or "not set".
        """

    @abstractmethod
    def share(self, value: _Value) -> Shared[_Value]:
        """Share a value with all tasks."""

    @abstractmethod
    def unpersist(self, frame: "DataFrame") -> None:
        """Have Spark forget the rows of a frame, where it can be asked to."""

    @abstractmethod
    def send_file(self, path: str) -> None:
        """Send a local file to all executors, for `SparkFiles.get` of its name."""

    @abstractmethod
    def tag_jobs(self, tag: str) -> None:
        """Tag the jobs that this thread starts from now on."""

    @abstractmethod
    def cancel_jobs(self, tag: str) -> None:
        """Cancel the jobs with a tag."""

    @abstractmethod
    def cancel_on_failure(self, tag: str) -> AbstractContextManager[None]:
        """Cancel what the block started where it fails, if it would go on without this process."""

    @abstractmethod
    def resolve_path(self, path: str) -> str:
        """Return a path or URL of a table as Spark's driver has to be given it."""

    @abstractmethod
    def resolve_plan(self, frame: "DataFrame") -> None:
        """Have Spark say now whether it understands a frame, and not when rows are asked for.

        Raises:
            PySparkException: it does not.
        """

    @abstractmethod
    def parse_expression(self, text: str) -> None:
        """Have Spark's parser read an expression, whatever columns there are.

        Raises:
            PySparkException: it is no SQL.
        """

    @abstractmethod
    def compile_pattern(self, pattern: str) -> None:
        """Have Java compile a regular expression.

        Raises:
            Exception: of Spark or py4j, where it cannot.
        """

    @abstractmethod
    def describe_plan(self, frame: "DataFrame") -> str:
        """Describe the operators that rows of a frame pass through, a line each; those that make
        the broadcast side of a join may be missing."""

    @abstractmethod
    def list_read_files(self, frame: "DataFrame") -> list[str]:
        """Return the URLs of the files that a frame reads; those that are read twice twice, where
        Spark tells."""

    @abstractmethod
    def open_store(self, scheme: str) -> Any | None:
        """Open Hadoop's file system of a scheme (as `hdfs://`; may be empty) for `info` and `ls` as
        of fsspec; None where only a server has it."""

    @abstractmethod
    def has_file(self, url: str) -> bool:
        """Return whether Spark finds a file or folder; in `url`, `*` stands for any name."""

    @abstractmethod
    def find_partition_columns(
        self, frame: "DataFrame", reader: "DataFrameReader", files: str | list[str]
    ) -> list[str] | None:
        """Find the columns that are in no file, but in the names of folders.

        Args:
            frame: rows of files.
            reader: with the format and the options that they are read by.
            files: what it loads.

        Returns:
            None where the rows are not those of files.
        """

    @abstractmethod
    def find_relations(self, frame: "DataFrame", table: str) -> list[FileRelation]:
        """Find the Parquet files that a table or view of the catalog reads.

        Args:
            frame: its rows.
            table: its name.
        """

    @abstractmethod
    def read_with_names(
        self, relation: FileRelation, table: str, names: Mapping[str, str]
    ) -> "DataFrame":
        """Read a table's files by the names that they have for its columns.

        Args:
            relation: of a table.
            table: its name.
            names: declared column -> its name in the files.

        Raises:
            LakeError: the files cannot be read without the table.
        """

    @abstractmethod
    def parse_table_name(self, name: str) -> list[str]:
        """Return the parts of a table's name.

        Raises:
            ParseException: it is none.
        """

    @abstractmethod
    def has_session_table(self, quoted: str) -> bool:
        """Return whether Spark's own catalog has a table or view of a name."""

    @abstractmethod
    def find_session_place(self, quoted: str) -> str | None:
        """Find the place of a table in Spark's own catalog; None where it has none."""

    @abstractmethod
    def get_hadoop_setting(self, key: str) -> str | None:
        """Return a setting of Hadoop; None where it is not set."""

    @abstractmethod
    def qualify_path(self, url: str) -> str:
        """Return a URL as a catalog has it, with the name node or bucket that is meant."""


def has_file(session: "SparkSession", url: str) -> bool:
    """Return whether Spark finds a file or folder; no file is read.

    Raises:
        PySparkException: it cannot look.
    """
    from pyspark.errors import AnalysisException

    try:
        _ = session.read.format("binaryFile").load(url).isStreaming  # a server looks at it now
    except AnalysisException as error:
        if "PATH_NOT_FOUND" in str(error) or "Path does not exist" in str(error):
            return False
        raise
    return True
