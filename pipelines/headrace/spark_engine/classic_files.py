"""List files by Hadoop's file systems, of which a JVM of this process has as many as Spark."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


class HadoopFiles:
    """The part of fsspec's interface that a listing needs, by Hadoop's.

    Sizes and times are left out: each would be one more question to the JVM for every file.

    Attributes:
        protocol: as of fsspec's file systems.
    """

    protocol = "hadoop"

    def __init__(self, session: "SparkSession", scheme: str) -> None:
        """
        Args:
            session: which knows the stores.
            scheme: in front of all paths, such as `hdfs://`; may be empty.
        """
        self._paths: Any = session._jvm.org.apache.hadoop.fs.Path  # type: ignore[union-attr]
        self._conf: Any = session._jsc.hadoopConfiguration()
        self._scheme = scheme

    def info(self, path: str) -> dict[str, Any]:
        """Return the name and type of a path.

        Raises:
            FileNotFoundError: there is nothing.
            OSError: it cannot be looked at.
        """
        return _describe(path, self._call("getFileStatus", path))

    def ls(self, path: str, detail: bool = False) -> list[Any]:
        """List a folder; with the types of what is in it where `detail` says so.

        Raises:
            FileNotFoundError: there is nothing.
            NotADirectoryError: it is a file.
            OSError: it cannot be listed.
        """
        if not self._call("getFileStatus", path).isDirectory():
            raise NotADirectoryError(path)
        entries = [
            _describe(f"{path.rstrip('/')}/{status.getPath().getName()}", status)
            for status in self._call("listStatus", path)
        ]
        return entries if detail else [entry["name"] for entry in entries]

    def _call(self, method: str, path: str) -> Any:
        from py4j.protocol import Py4JJavaError

        try:
            where = self._paths(self._scheme + path)
            return getattr(where.getFileSystem(self._conf), method)(where)
        except Py4JJavaError as error:
            cause = error.java_exception
            kind = str(cause.getClass().getSimpleName())
            message = f"{self._scheme}{path} cannot be listed: {kind}: {cause.getMessage()}"
            if kind == "FileNotFoundException":
                raise FileNotFoundError(message) from None
            raise OSError(message) from None


def _describe(path: str, status: Any) -> dict[str, Any]:
    kind = "directory" if status.isDirectory() else "file"
    return {"name": path, "type": kind, "size": 0, "mtime": ""}
