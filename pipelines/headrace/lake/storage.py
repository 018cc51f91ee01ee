"""Open the storage of a root, a local folder or a URL of an object store, and explain its errors.

Files go through fsspec, Delta commits through delta-rs. Each looks for credentials in its own way,
so for S3 both get those that AWS's own tools would use: the environment, the profile in `~/.aws`,
the role of the machine. They are never part of a recipe, a dataset or an error. What the files mean
is left to the other modules.
"""

import re
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fsspec

from headrace.addresses import find_store_problem
from headrace.errors import DatasetError, LakeError, OptionError, UnreachableError
from headrace.extras import require_extras
from headrace.lake.damage import explain_damage
from headrace.redaction import MASK, redact_text

if TYPE_CHECKING:
    from deltalake import DeltaTable

CONCURRENT_REQUESTS = 16
"""Requests to the store at the same time."""
_S3 = re.compile(r"^s3[an]?://")
# The defaults of AWS's tools and of delta-rs. A private endpoint (vpce) is not among them.
_AWS_ENDPOINT = re.compile(r"^https://s3([.-][a-z0-9-]+)?\.amazonaws\.com$")
_URL_CHARACTERS = re.compile(r"[%?#]")
# What delta-rs decodes, refuses or takes for a separator.
_AMBIGUOUS_IN_PATHS = re.compile(r"%[0-9A-Fa-f]{2}|\\|[\[\]]")
_AMBIGUOUS_IN_URLS = re.compile(r"[%?#\\\[\]]|//")
_COLORS = re.compile(r"\x1b\[[0-9;]*m")
# Packages whose errors are of a store and not a defect; each is installed with its file system.
_STORES = ("aiobotocore", "botocore", "aiohttp", "gcsfs", "google", "azure")
# As delta-rs says it, which also calls it a table that is not there.
_UNKNOWN_STORE = ("Unknown scheme", "Unable to recognise URL", " as a URL: ")
_EXTRAS = {
    "s3": "s3", "s3a": "s3", "s3n": "s3", "gs": "gcs", "gcs": "gcs", "abfs": "azure",
    "abfss": "azure", "az": "azure",
}  # fmt: skip


def resolve_root(root: str) -> str:
    """Return a root in the form that means the same from every working directory.

    Hadoop's schemes of S3 become `s3://`, a URL of a local file becomes its path, other URLs stay;
    a slash at the end is removed.

    Raises:
        OptionError: it is on no store for datasets and predictions, or is a local URL with
            characters that its readers take in two ways.
    """
    if problem := find_store_problem(root):
        raise OptionError(f"{redact_text(root)}: {'; '.join(problem)}")
    if root.startswith("file:"):
        path = "/" + root.removeprefix("file:").strip("/")
        if _URL_CHARACTERS.search(path):
            raise OptionError(
                f"{root}: %, ? and # mean one thing in a URL and another in a path; write the path "
                "itself, without file:"
            )
        return path
    if "://" in root:
        return normalize_s3_scheme(root).rstrip("/")
    return str(Path(root).absolute())


def refuse_ambiguous_root(root: str) -> None:
    """Refuse a root that the log's writer and the files' writer take for two different places.

    Args:
        root: as `resolve_root` returns it, of a dataset or of predictions.

    Raises:
        OptionError: it has such characters; no file was written.
    """
    characters = _AMBIGUOUS_IN_URLS if "://" in root else _AMBIGUOUS_IN_PATHS
    found = characters.search(root.partition("://")[2] or root)
    if found:
        raise OptionError(
            f"{redact_text(root)} has {found[0]!r} in its name, which a Delta log and its files "
            "would not take for the same place; choose another name"
        )


def normalize_s3_scheme(url: str) -> str:
    """Replace Hadoop's schemes of S3, `s3a://` and `s3n://`, by `s3://`."""
    return _S3.sub("s3://", url)


def open_filesystem(root: str) -> tuple[Any, str]:
    """Return the fsspec file system of a root, and the root's path on it.

    Listings are not cached, because other processes write there too.

    Raises:
        DatasetError: this machine has no file system for such a URL.
        ExtraError: the extra that has the file system is not installed.
        UnreachableError: the file system could not be opened.
    """
    scheme = _require_store(root)
    try:
        filesystem, path = fsspec.url_to_fs(root, use_listings_cache=False)
    except (ImportError, ValueError) as error:
        raise DatasetError(
            f"{redact_text(root)}: no file system for {scheme}:// here ({error}); install fsspec's "
            "package for it"
        ) from None
    except Exception as error:  # some connect at once, or load libraries of the system
        raise UnreachableError(
            f"{redact_text(root)} cannot be reached: {describe_error(error)}"
        ) from error
    return filesystem, path.rstrip("/")


def _require_store(root: str) -> str:
    """Refuse a root on a store whose extra is not installed; return its scheme, "" for a folder."""
    scheme, separator, _ = root.partition("://")
    if separator and scheme in _EXTRAS:
        require_extras([_EXTRAS[scheme]])
    return scheme if separator else ""


def write_object(root: str, path: str, content: bytes | memoryview) -> None:
    """Write an object below a root at once; the folders above it are created.

    Args:
        root: folder or URL.
        path: of the object, relative to the root.
        content: all of it; or another object with a buffer.

    Raises:
        UnreachableError: the store refused, or did not answer.
    """
    filesystem, base = open_filesystem(root)
    full_path = f"{base}/{path}"
    with explain_storage_errors(root):
        filesystem.makedirs(full_path.rpartition("/")[0], exist_ok=True)
        with filesystem.open(full_path, "wb") as stream:
            stream.write(content)


def replace_object(root: str, path: str, content: bytes) -> None:
    """Write an object below a root, or replace it, such that no reader ever sees a part of it.

    Args:
        root: folder or URL.
        path: of the object, relative to the root.
        content: all of it.

    Raises:
        UnreachableError: the store refused, or did not answer.
    """
    filesystem, base = open_filesystem(root)
    if not is_local(filesystem):  # a store has an object once all of it was sent
        write_object(root, path, content)
        return
    target = Path(f"{base}/{path}")
    aside = target.with_name(f"{target.name}.{uuid.uuid4().hex}.part")
    with explain_storage_errors(root):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            aside.write_bytes(content)
            aside.replace(target)
        finally:
            aside.unlink(missing_ok=True)


@contextmanager
def open_private(filesystem: Any, path: str) -> Iterator[Any]:
    """Open a file to be written whose contents are for this user alone: raw rows.

    Where the store is a folder of this machine, the file's mode is 0600; a bucket has its own
    policies.

    Args:
        filesystem: fsspec file system.
        path: on it.
    """
    with filesystem.open(path, "wb") as stream:
        if is_local(filesystem):
            Path(path).chmod(0o600)
        yield stream


def make_private_folder(filesystem: Any, path: str) -> None:
    """Make a folder for this user alone (mode 0700) where it is missing; see `open_private`."""
    if not filesystem.exists(path):
        filesystem.makedirs(path, exist_ok=True)
        if is_local(filesystem):
            Path(path).chmod(0o700)


def is_local(filesystem: Any) -> bool:
    """Return whether a file system is this machine's own, where a file has a path."""
    protocol = filesystem.protocol
    return "file" in ((protocol,) if isinstance(protocol, str) else protocol)


def open_delta_table(root: str, version: int | None = None) -> "DeltaTable":
    """Open the Delta table at a root, at a version or at its newest.

    Raises:
        DeltaError: there is no table, or no such version.
        DatasetError: the store cannot be reached.
        OptionError: there is no such kind of store, or the URL is none.
    """
    from deltalake import DeltaTable  # here, because those who only write files need it not
    from deltalake.exceptions import DeltaError

    where = f"dataset {redact_text(root)}: its _delta_log"
    options = build_delta_options(root)
    try:
        with explain_storage_errors(root), explain_damage(where):
            return DeltaTable(root, version=version, storage_options=options)
    except (DeltaError, DatasetError) as error:
        if not any(text in str(error) for text in _UNKNOWN_STORE):
            raise
        raise OptionError(
            f"{redact_text(root)}: Delta's writer knows no such store, or takes this for no URL; "
            "give a folder, or a URL of s3://, gs:// or abfss://"
        ) from None


def build_delta_options(root: str) -> dict[str, str] | None:
    """Build delta-rs's options for the store, because it does not read AWS's files itself.

    Returns:
        The options for S3; None for every other store.

    Raises:
        UnreachableError: there are no credentials.
    """
    _require_store(root)
    if not _S3.match(root):
        return None
    credentials, region, endpoint = _read_aws_settings()
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
        # An http:// endpoint was set on purpose.
        "AWS_ALLOW_HTTP": "true" if (endpoint or "").startswith("http://") else None,
    }
    return {name: value for name, value in options.items() if value}


@contextmanager
def explain_storage_errors(root: str) -> Iterator[None]:
    """Turn an error of the store within the block into a human-readable one.

    Raises:
        UnreachableError: the store refused, or did not answer.
    """
    try:
        yield
    except Exception as error:
        if not is_storage_error(error):
            raise
        raise UnreachableError(
            f"{redact_text(root)} cannot be reached: {describe_error(error)}"
        ) from error


def refuse_unseen_file(root: str, path: str) -> None:
    """Refuse a root where a file that a task of Spark wrote is not seen from here.

    Args:
        root: folder or URL that the task wrote to.
        path: of its file, relative to the root.

    Raises:
        DatasetError: the hosts of tasks have another folder of that name.
    """
    files, base = open_filesystem(root)
    with explain_storage_errors(root):
        if files.exists(f"{base}/{path}"):
            return
    raise DatasetError(
        f"Spark's tasks wrote {path} to {redact_text(root)}, and it is not there as this host sees "
        "it: name a folder or URL that the hosts of Spark and this one share. Nothing was published"
    )


@contextmanager
def explain_table_errors(path: str) -> Iterator[None]:
    """Turn an error of a raw table's store within the block into a human-readable one.

    Raises:
        LakeError: the store refused, or did not answer.
    """
    try:
        with explain_storage_errors(path):
            yield
    except DatasetError as error:
        raise LakeError(str(error)) from error


def is_storage_error(error: BaseException) -> bool:
    """Return whether the error is of a file system or an object store, and not of our code."""
    modules = {kind.__module__.partition(".")[0] for kind in type(error).__mro__}
    return isinstance(error, OSError) or bool(modules & {*_STORES})


def describe_error(error: BaseException) -> str:
    """Return the text of an error on one line, without credentials; its type where it has none."""
    text = " ".join(_COLORS.sub("", str(error)).replace("↳", "").split())
    for secret in _read_aws_secrets() if "botocore" in sys.modules else []:
        text = text.replace(secret, MASK)
    return redact_text(text) or type(error).__name__


def _read_aws_settings() -> tuple[Any, str | None, str | None]:
    """Read credentials, region and endpoint (None for AWS's own) as AWS's tools would."""
    from botocore.exceptions import BotoCoreError
    from botocore.session import get_session

    session = get_session()
    try:
        credentials = session.get_credentials()
        region = session.get_config_variable("region")
        endpoint = session.create_client("s3", region_name=region).meta.endpoint_url
        frozen = credentials.get_frozen_credentials() if credentials else None
    except BotoCoreError as error:  # for example no such profile, or a file that cannot be read
        raise UnreachableError(f"AWS's settings cannot be used: {error}") from None
    return frozen, region, None if _AWS_ENDPOINT.match(endpoint) else endpoint


def _read_aws_secrets() -> list[str]:
    """Read the credentials that must not be shown; empty where there are none."""
    from botocore.exceptions import BotoCoreError
    from botocore.session import get_session

    try:
        credentials = get_session().get_credentials()
    except BotoCoreError:
        return []
    if credentials is None:
        return []
    frozen = credentials.get_frozen_credentials()
    return [value for value in (frozen.secret_key, frozen.token, frozen.access_key) if value]
