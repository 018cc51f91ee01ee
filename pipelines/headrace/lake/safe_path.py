"""Keep the paths and ids that an artifact names below the folder that the artifact is of.

A log or a record may be damaged, or written by a stranger; what it names is read, unpacked and
removed. So the types of the artifacts refuse such names where they are parsed, and where a sidecar
is looked up.
"""

import re
from typing import Annotated

from pydantic import AfterValidator

_BUILD_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def is_relative_path(path: str) -> bool:
    """Return whether a path is relative and stays below its root: it has no `.` and no `..`."""
    return "://" not in path and "\0" not in path and {"", ".", ".."}.isdisjoint(path.split("/"))


def check_relative_path(path: str) -> str:
    """Return a path below a root as it is.

    Raises:
        ValueError: it is absolute, a URL, or leads out of the root.
    """
    if not is_relative_path(path):
        raise ValueError(f"{path!r} is no path below the root: a relative one without . and ..")
    return path


def check_build_id(build_id: str) -> str:
    """Return the id of a build or job, which names its sidecar's folder, as it is.

    Raises:
        ValueError: it has characters that no build's id has.
    """
    if not _BUILD_ID.fullmatch(build_id):
        raise ValueError(f"{build_id!r} is no id of a build")
    return build_id


RelativePath = Annotated[str, AfterValidator(check_relative_path)]
"""Path of a file or folder relative to a root, with `/`, and below it."""
BuildId = Annotated[str, AfterValidator(check_build_id)]
"""Id of a build or job; the name of its sidecar's folder."""
