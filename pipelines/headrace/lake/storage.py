"""Reach a dataset's root: a local folder, or a URL of an object store.

Files go through fsspec, Delta commits through delta-rs. Each has its own idea of where credentials
are, so for S3 both are given those that AWS's own tools would use: the environment, the profile in
`~/.aws`, the role of the machine. They are never part of a recipe, a dataset or an error.
"""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fsspec

from headrace.errors import DatasetError, UnreachableError
from headrace.redaction import MASK, redact_text

if TYPE_CHECKING:
    from deltalake import DeltaTable

_S3 = re.compile(r"^s3[an]?://")
# What AWS's tools fall back on, and delta-rs as well. A private endpoint (vpce) is none of these.
_AWS_ENDPOINT = re.compile(r"^https://s3([.-][a-z0-9-]+)?\.amazonaws\.com$")
_COLORS = re.compile(r"\x1b\[[0-9;]*m")
# Packages whose errors tell of a store and not of a defect; each comes with its file system.
_STORES = ("aiobotocore", "botocore", "aiohttp", "gcsfs", "google", "azure")
_EXTRAS = {"gs": "gcs", "gcs": "gcs", "abfs": "azure", "abfss": "azure", "az": "azure"}


def absolute_root(root: str) -> str:
    """A dataset's root as it means the same from every working directory.

    Hadoop's names of S3 become `s3://`, other URLs stay, without a slash at the end.
    """
    if "://" in root:
        return _S3.sub("s3://", root).rstrip("/")
    return str(Path(root).absolute())


def open_files(root: str) -> tuple[Any, str]:
    """The fsspec file system of a root, and the root's path on it.

    Listings are not cached: other processes write there too.

    Raises:
        DatasetError: this machine has no file system for such a URL.
    """
    try:
        files, path = fsspec.url_to_fs(root, use_listings_cache=False)
    except (ImportError, ValueError) as error:
        scheme = root.partition("://")[0]
        fix = f"install headrace[{_EXTRAS[scheme]}]" if scheme in _EXTRAS else "see fsspec's docs"
        raise DatasetError(
            f"{redact_text(root)}: no file system for {scheme}:// here ({error}); {fix}"
        ) from None
    return files, path.rstrip("/")


def delta_table(root: str, version: int | None = None) -> "DeltaTable":
    """The Delta table at a root.

    Raises:
        DeltaError: there is none, or no such version.
        DatasetError: the store cannot be reached.
    """
    from deltalake import DeltaTable  # not needed by those who only write files

    with reaching(root):
        return DeltaTable(root, version=version, storage_options=delta_options(root))


def delta_options(root: str) -> dict[str, str] | None:
    """What delta-rs has to be told about the store; it does not read AWS's files itself.

    Raises:
        DatasetError: there are no credentials.
    """
    if not _S3.match(root):
        return None
    credentials, region, endpoint = _aws()
    if credentials is None:
        raise UnreachableError(
            f"dataset {root}: no AWS credentials were found. Set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or AWS_PROFILE and ~/.aws/credentials, or run on a machine "
            "that has a role"
        )
    options = {
        "AWS_ACCESS_KEY_ID": credentials.access_key,
        "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
        "AWS_SESSION_TOKEN": credentials.token,
        "AWS_REGION": region or "us-east-1",
        "AWS_ENDPOINT_URL": endpoint,
        # Whoever sets an http:// endpoint wants it.
        "AWS_ALLOW_HTTP": "true" if (endpoint or "").startswith("http://") else None,
    }
    return {name: value for name, value in options.items() if value}


@contextmanager
def reaching(root: str) -> Iterator[None]:
    """Explain an error of the store.

    Raises:
        UnreachableError: the store refused, or did not answer.
    """
    try:
        yield
    except Exception as error:
        if not is_storage_error(error):
            raise
        raise UnreachableError(f"{redact_text(root)} cannot be reached: {said(error)}") from error


def is_storage_error(error: BaseException) -> bool:
    """Whether the error comes from a file system or an object store, and not from our code."""
    modules = {kind.__module__.partition(".")[0] for kind in type(error).__mro__}
    return isinstance(error, OSError) or bool(modules & {*_STORES})


def said(error: BaseException) -> str:
    """What a store said, on one line, without credentials; its kind where it said nothing."""
    text = " ".join(_COLORS.sub("", str(error)).replace("↳", "").split())
    for secret in _secrets() if "botocore" in sys.modules else []:
        text = text.replace(secret, MASK)
    return redact_text(text) or type(error).__name__


def _aws() -> tuple[Any, str | None, str | None]:
    """Credentials, region and endpoint (None for AWS's own) as AWS's tools would take them."""
    from botocore.exceptions import BotoCoreError
    from botocore.session import get_session

    session = get_session()
    try:
        credentials = session.get_credentials()
        region = session.get_config_variable("region")
        endpoint = session.create_client("s3", region_name=region).meta.endpoint_url
        frozen = credentials.get_frozen_credentials() if credentials else None
    except BotoCoreError as error:  # a profile that is not there, a file that cannot be read
        raise UnreachableError(f"AWS's settings cannot be used: {error}") from None
    return frozen, region, None if _AWS_ENDPOINT.match(endpoint) else endpoint


def _secrets() -> list[str]:
    from botocore.exceptions import BotoCoreError
    from botocore.session import get_session

    try:
        credentials = get_session().get_credentials()
    except BotoCoreError:
        return []
    if credentials is None:
        return []
    frozen = credentials.get_frozen_credentials()
    return [s for s in (frozen.secret_key, frozen.token, frozen.access_key) if s]
