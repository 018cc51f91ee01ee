"""Append all that a command says to a file, with the date, whatever the terminal shows of it."""

import json
import os
from datetime import UTC, datetime
from typing import Any

from headrace.commands.first_checks import describe_os_error
from headrace.errors import OptionError
from headrace.output import GuardedStream, escape_message
from headrace.quiet import open_log


class LogFile:
    """A log of lines of text or of JSON objects; several commands may append to it at a time."""

    def __init__(self, path: str, *, as_json: bool) -> None:
        """
        Args:
            path: of the file, which is created for this user alone where there is none.
            as_json: write an object per line.

        Raises:
            OptionError: it cannot be written to.
        """
        try:
            descriptor = open_log(path)
        except OSError as error:
            raise OptionError(
                f"--log-file {path} cannot be written to: {describe_os_error(error)}; name a file "
                "in a folder that is there"
            ) from None
        self.path, self._as_json = path, as_json
        # Redacts, and takes what a full disk does not.
        self._stream = GuardedStream(os.fdopen(descriptor, "w", encoding="utf-8"))

    @property
    def failure(self) -> str | None:
        """Return why something could not be written; None where all was."""
        return self._stream.failure

    def write_entry(self, level: str, message: str, **fields: Any) -> None:
        """Write an entry.

        Args:
            level: `info`, `debug` for the lines of libraries, or `error`.
            message: in words.
            fields: further values; in a text log the command's name alone is of them.
        """
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        if self._as_json:
            entry = {"time": now, "level": level, "message": message, **fields}
            self._stream.write(json.dumps(entry) + "\n")
        else:
            stage = f"{fields['stage']}: " if "stage" in fields else ""
            self._stream.write(f"{now} {level:<5} {stage}{escape_message(message)}\n")

    def close(self) -> None:
        """Close the file."""
        self._stream.close()
