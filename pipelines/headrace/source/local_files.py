"""Find the files of a raw table that the tasks open themselves, with pyarrow and not by Spark.

They lie on a file system that all hosts share, and must be as they were when the driver looked at
them: what a task reads is what was counted.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from headrace.errors import LakeError
from headrace.source.partition_index import find_files_by_hash
from headrace.source.tables import RawTable


@dataclass(frozen=True)
class LocalFile:
    """A file as the driver saw it.

    Attributes:
        path: absolute, as the hosts have it.
        bytes: its size.
        changed: time of its last change in ns since 1970.
    """

    path: str
    bytes: int
    changed: int

    @staticmethod
    def from_path(path: str | Path) -> "LocalFile":
        """Return a file as it is now.

        Raises:
            OSError: it cannot be reached.
        """
        stat = Path(path).stat()
        return LocalFile(str(path), stat.st_size, stat.st_mtime_ns)

    def refuse_change(self, table: str) -> None:
        """Refuse the file where it is no longer as the driver saw it.

        Args:
            table: whose file it is, for the message.

        Raises:
            LakeError: the file was changed.
            OSError: it cannot be reached.
        """
        if LocalFile.from_path(self.path) != self:
            raise LakeError(
                f"table {table!r}: {self.path} changed while it was read; run the command again"
            )


def find_local_files(main: RawTable) -> Mapping[int, LocalFile] | None:
    """Find the files of a table by the FILE of their rows.

    Returns:
        None where the table has no files, or pyarrow cannot reach them from here.

    Raises:
        LakeError: a file cannot be read.
    """
    urls = find_files_by_hash(main.unfiltered)
    if not urls or not all(url.startswith("file:") for url in urls.values()):
        return None
    paths = {h: "/" + unquote(u.removeprefix("file:").lstrip("/")) for h, u in urls.items()}
    try:
        files = {path: LocalFile.from_path(path) for path in {*paths.values()}}
    except OSError as error:
        raise LakeError(f"table {main.name!r}: {error.filename} cannot be read: {error}") from None
    return {hashed: files[path] for hashed, path in paths.items()}
