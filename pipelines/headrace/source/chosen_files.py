"""Choose what Spark is given to read, and compare what it reads with what was listed.

Spark lists by itself what is below a folder: it leaves out the files of subfolders that are no
partitions, and takes some that are no data. It is given the folder where both lists are equal, and
every file by name where they are not.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote

from headrace.source.listing import Listing
from headrace.spark_engine.find_engine import find_engine

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# What Hadoop's patterns give a meaning. With Spark's option to take no path for a pattern, files
# of a list are read twice where one has such a character (SPARK-58518).
_MAGIC = re.compile(r"([*?\[\]{}\\])")


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
    folder = escape_pattern(where) if listing.root else where
    ways = []
    urls = list_literal_urls(listing, listing.files if paths is None else paths)
    by_name = get_name_options(listing)
    if listing.log is None:
        if paths is None:
            ways.append(ChosenFiles(folder, folder))
        else:
            ways.append(ChosenFiles(folder, urls, by_name))
    ways.append(ChosenFiles(list_literal_urls(listing, listing.files), urls, by_name))
    return ways


def escape_pattern(url: str) -> str:
    """Return a path so that Spark takes no character of it for one of a pattern."""
    return _MAGIC.sub(r"\\\1", url)


def list_literal_urls(listing: Listing, paths: Iterable[str]) -> list[str]:
    """Return the URLs of listed paths as Spark's readers take them, in order."""
    return [escape_pattern(url) for url in listing.list_urls(paths)]


def get_name_options(listing: Listing) -> dict[str, str]:
    """Return the options that Spark needs to read files of a listing by their names."""
    has_folders = listing.root and "" not in listing.files and _has_partitions(listing)
    return {"basePath": listing.root} if has_folders else {}


def find_unequal_file(
    frame: "DataFrame", listing: Listing, paths: Collection[str] | None
) -> str | None:
    """Find a file that Spark reads and that was not to be read, or the other way round, or twice.

    Args:
        frame: Spark's rows.
        listing: the table's files.
        paths: of the listing, those that are to be read; None for all.

    Returns:
        what is wrong, for people; None where the two are equal.
    """
    expected = {*(listing.files if paths is None else paths)}
    read: set[str] = set()
    for url in find_engine(frame.sparkSession).list_read_files(frame):
        path = listing.find_url(url)
        if path not in expected:
            return f"Spark reads {unquote(url)}, which is not among the files that were listed"
        if path in read:
            return f"Spark reads {unquote(url)} twice"
        read.add(path)
    if expected != read:
        (url,) = listing.list_urls([min(expected - read)])
        return f"{url} was listed, and Spark does not read it"
    return None


def _has_partitions(listing: Listing) -> bool:
    return any(listing.get_values(path) for path in listing.files)
