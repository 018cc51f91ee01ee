"""Have pyiceberg read through the file system that everything else is read through."""

from typing import Any

from pyiceberg.io import FileIO, InputFile, InputStream, OutputFile

from headrace.lake.logged_files import strip_scheme


class FsspecIO(FileIO):
    """Reader of a table's metadata files; it writes nothing."""

    def __init__(self, filesystem: Any) -> None:
        super().__init__()
        self._filesystem = filesystem

    def new_input(self, location: str) -> InputFile:
        """Return a file that is not opened yet."""
        return _File(location, self._filesystem)

    def new_output(self, location: str) -> OutputFile:
        """Refuse to write."""
        raise NotImplementedError(location)

    def delete(self, location: str | InputFile | OutputFile) -> None:
        """Refuse to delete."""
        raise NotImplementedError(str(location))


class _File(InputFile):
    def __init__(self, location: str, filesystem: Any) -> None:
        super().__init__(location)
        self._filesystem = filesystem
        self._path = strip_scheme(location, filesystem)

    def __len__(self) -> int:
        return int(self._filesystem.info(self._path)["size"])

    def exists(self) -> bool:
        return bool(self._filesystem.exists(self._path))

    def open(self, seekable: bool = True) -> InputStream:
        stream: InputStream = self._filesystem.open(self._path, "rb")
        return stream
