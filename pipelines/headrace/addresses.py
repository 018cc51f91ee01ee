"""Find what is wrong with the address of a folder before anything is opened: no scheme, no store.

What cannot hold a dataset fails at the first write otherwise, or is taken for the name of a folder
here (`dbfs:/lake`, `--workdir s3://lake`), where nobody looks for it.
"""

import re

BUCKET_SCHEMES = ("s3", "s3a", "s3n", "gs", "gcs", "abfs", "abfss", "az")
"""Schemes of the stores whose extras Headrace has."""
# Of these no release of Delta's writer makes a store; what it says of others is told when it does.
_NO_STORES = frozenset({
    "data", "ftp", "git", "github", "http", "https", "jar", "memory", "tar", "wasb", "wasbs", "zip",
})  # fmt: skip
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*")
_HADOOP_PATH = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]+):/(?!/)")
_EXPECTED = "give a folder, or a URL of s3://, gs:// or abfss://"


def find_scheme_problem(address: str) -> tuple[str, str] | None:
    """Find what is wrong where the text before `://` can be no scheme, nor the path one of here.

    Returns:
        The problem, and what to do about it; None where there is none.
    """
    scheme, mark, _ = address.partition("://")
    if not mark or scheme.startswith(("/", ".")) or _SCHEME.fullmatch(scheme):
        return None
    return f"{scheme[:40]!r} is no scheme of a URL", "write the URL alone"


def find_store_problem(address: str) -> tuple[str, str] | None:
    """Find why no dataset, predictions or checkpoints can be at an address.

    Returns:
        The problem, and what to do about it; None where there is none.
    """
    if problem := find_scheme_problem(address):
        return problem
    scheme, mark, rest = address.partition("://")
    if not mark or scheme.startswith(("/", ".")):
        found = _HADOOP_PATH.match(address)
        if not found or found[1] == "file":
            return None
        return (
            f"{found[0]} begins a path of Hadoop, and would be the folder '{found[1]}:' here",
            f"{_EXPECTED}, or ./{found[0]}… where the folder is meant",
        )
    if scheme.lower() in _NO_STORES:
        return f"{scheme}:// is no place that Headrace writes to", _EXPECTED
    if scheme in BUCKET_SCHEMES and not rest.partition("/")[0]:
        return f"{scheme}://{rest[:1]} names no bucket", f"write {scheme}://BUCKET/FOLDER"
    return None


def find_folder_problem(address: str) -> tuple[str, str] | None:
    """Find why an address is no folder of this machine, as the workdir has to be one.

    Returns:
        The problem, and what to do about it; None where there is none.
    """
    scheme, mark, _ = address.partition("://")
    is_url = bool(mark) and not scheme.startswith(("/", "."))
    if not is_url and not _HADOOP_PATH.match(address):
        return None
    return (
        "is a URL, and has to be a folder of this machine",
        "dataset.path, train.checkpoint.path and --output may be URLs",
    )
