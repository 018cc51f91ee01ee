"""Choose what Spark is given to read, and compare what it reads with what was listed.

Spark lists by itself what is below a folder: it leaves out the files of subfolders that are no
partitions, and takes some that are no data. It is given the folder where both lists are equal, and
every file by name where they are not.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote

from headrace.source.listing import Listing

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# No character of a path has a meaning then; Spark's own readers use this option among themselves.
_NO_PATTERNS = {"__globPaths__": "false"}


@dataclass(frozen=True)
class ChosenFiles:
    """What a reader of Spark is given.

    Attributes:
        all: a folder, or URLs of files: what decides which columns there are.
        chosen: what is read of it.
        options: that it has to be read with.
    """

    all: str | list[str]
    chosen: str | list[str]
    options: Mapping[str, str] = field(default_factory=dict)


def choose_files(
    where: str, listing: Listing | None, paths: Collection[str] | None
) -> list[ChosenFiles]:
    """Return the ways to have Spark read the files of a listing: the next one where it does not.

    Args:
        where: the table's path.
        listing: its files; None where only Spark knows them.
        paths: of the listing, those that are read; None for all.
    """
    if listing is None:
        return [ChosenFiles(where, where)]
    is_pattern = not listing.root
    options = {} if is_pattern else {**_NO_PATTERNS}
    ways = []
    urls = listing.list_urls(listing.files if paths is None else paths)
    by_name = get_name_options(listing)
    if listing.log is None:
        if paths is None:
            ways.append(ChosenFiles(where, where, options))
        else:
            ways.append(ChosenFiles(where, urls, {**by_name, **options}))
    ways.append(ChosenFiles(listing.list_urls(listing.files), urls, by_name))
    return ways


def get_name_options(listing: Listing) -> dict[str, str]:
    """Return the options that Spark needs to read files of a listing by their names."""
    has_folders = listing.root and "" not in listing.files and _has_partitions(listing)
    return {**_NO_PATTERNS, **({"basePath": listing.root} if has_folders else {})}


def find_unequal_file(
    frame: "DataFrame", listing: Listing, paths: Collection[str] | None
) -> str | None:
    """Find a file that Spark reads and that was not to be read, or the other way round.

    Args:
        frame: Spark's rows.
        listing: the table's files.
        paths: of the listing, those that are to be read; None for all.

    Returns:
        what is wrong, for people; None where the two are equal.
    """
    expected = {*(listing.files if paths is None else paths)}
    read: set[str] = set()
    for url in frame.inputFiles():
        path = listing.find_url(str(url))
        if path not in expected:
            return f"Spark reads {unquote(str(url))}, which is not among the files that were listed"
        read.add(path)
    if expected != read:
        (url,) = listing.list_urls([min(expected - read)])
        return f"{url} was listed, and Spark does not read it"
    return None


def _has_partitions(listing: Listing) -> bool:
    return any(listing.get_values(path) for path in listing.files)
