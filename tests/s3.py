"""A real S3 server on loopback, moto's, in a process of its own."""

import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
from s3fs import S3FileSystem

KEY, SECRET = "AKIAOFTHETESTS", "hunter2-of-the-tests"
BUCKET = "lake"


@dataclass(frozen=True)
class S3:
    """A running server with one empty bucket.

    Attributes:
        endpoint: its address.
    """

    endpoint: str

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
        }

    def files(self) -> Any:
        """The bucket, whatever the environment says."""
        return fsspec.filesystem(
            "s3",
            key=KEY,
            secret=SECRET,
            endpoint_url=self.endpoint,
            use_listings_cache=False,
        )


@contextmanager
def s3_server(folder: Path) -> Iterator[S3]:
    S3FileSystem.clear_instance_cache()  # one that was made for another server goes on with that
    log = (folder / "s3.log").open("w+")
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"],
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    try:
        s3 = S3(_address(server, folder / "s3.log"))
        s3.files().mkdir(BUCKET)
        yield s3
    finally:
        S3FileSystem.clear_instance_cache()
        server.terminate()
        server.wait(timeout=15)
        log.close()


def _address(server: "subprocess.Popen[bytes]", log: Path) -> str:
    deadline = time.monotonic() + 60
    while True:
        said = log.read_text()
        if " * Running on http://" in said:
            address = said.split(" * Running on ", 1)[1].split()[0]
            try:
                urllib.request.urlopen(f"{address}/moto-api/", timeout=2).read()
                return address
            except urllib.error.URLError:
                pass
        assert server.poll() is None, said
        assert time.monotonic() < deadline, "the S3 server did not start"
        time.sleep(0.1)
