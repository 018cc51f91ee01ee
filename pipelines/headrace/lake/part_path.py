"""Name data files such that a path says which build wrote the file, and where its rows belong.

The canonical order of a split is its files by path. A file of the shuffle is
`split=…/part-<build>-<target>-<attempt>.parquet`. One whose rows another build wrote again, merged
with its neighbours' or without those of some source partitions, has to stay where it was: its path
is the one of its first file up to the extension, and then `.rewritten-<build>`. Up to the extension
no two files of a version are the same, so nothing else about the order depends on the ending.
"""

import re

_PART = re.compile(r"part-(?P<build>.+)-\d+-\d+\.parquet")
_EXTENSION = ".parquet"
_REWRITTEN = ".rewritten-"


def make_part_path(split: str, build_id: str, target: int, attempt: int) -> str:
    """Make the path of a file that a task of the shuffle writes, relative to the dataset's root."""
    return f"split={split}/part-{build_id}-{target:05d}-{attempt}{_EXTENSION}"


def make_rewritten_path(path: str, build_id: str) -> str:
    """Make the path of a file that takes another's place in the canonical order.

    Args:
        path: of the first file whose rows it has, which may be rewritten itself.
        build_id: of the build that writes it.
    """
    place = path.partition(_REWRITTEN)[0].removesuffix(_EXTENSION)
    return f"{place}{_REWRITTEN}{build_id}{_EXTENSION}"


def parse_build_id(path: str) -> str | None:
    """Return the build that wrote a data file, from its path; None of files of other names."""
    name = path.rpartition("/")[2]
    if name.startswith("part-") and name.endswith(_EXTENSION) and _REWRITTEN in name:
        return name.rpartition(_REWRITTEN)[2].removesuffix(_EXTENSION) or None
    match = _PART.fullmatch(name)
    return match["build"] if match else None
