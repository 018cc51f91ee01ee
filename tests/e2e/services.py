"""What a team's MLflow stands on: PostgreSQL and an S3 server (SeaweedFS), both on loopback."""

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import fsspec

from tests.e2e.running import BIN
from tests.s3 import KEY, S3, SECRET

BUCKETS = ("lake", "mlflow")


def postgres_programs() -> Path | None:
    """Where Debian's or somebody else's PostgreSQL is."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """A server with an empty database `mlflow`; yields its URI."""
    programs = postgres_programs()
    assert programs
    data = folder / "postgres"
    data.mkdir()
    port = _free_port()
    # It refuses to run as root.
    as_user = []
    if os.geteuid() == 0:
        for above in (data, *data.parents):
            if above == Path("/tmp"):
                break
            above.chmod(above.stat().st_mode | 0o011)
        shutil.chown(data, "postgres", "postgres")
        as_user = ["runuser", "-u", "postgres", "--"]
    password = folder / "password"
    password.write_text("of-the-tests")
    password.chmod(0o644)
    subprocess.run(
        [*as_user, str(programs / "initdb"), "-D", str(data), "-U", "mlflow", "-A",
         "scram-sha-256", "--pwfile", str(password)],
        check=True, capture_output=True, cwd="/",
    )  # fmt: skip
    log = (folder / "postgres.log").open("w")
    server = subprocess.Popen(
        [*as_user, str(programs / "postgres"), "-D", str(data), "-h", "127.0.0.1", "-p", str(port),
         "-k", str(data)],
        stdout=log, stderr=subprocess.STDOUT, cwd="/",
    )  # fmt: skip
    try:
        _until(lambda: _listens(port), server, log.name)
        subprocess.run(
            [str(programs / "createdb"), "-h", "127.0.0.1", "-p", str(port), "-U", "mlflow",
             "mlflow"],
            check=True, env={**os.environ, "PGPASSWORD": "of-the-tests"}, cwd="/",
        )  # fmt: skip
        yield f"postgresql+psycopg2://mlflow:of-the-tests@127.0.0.1:{port}/mlflow"
    finally:
        server.terminate()
        server.wait(timeout=30)
        log.close()


@contextmanager
def seaweed(folder: Path) -> Iterator[S3]:
    """An S3 server with empty buckets `lake` and `mlflow`."""
    ports = [_free_port(below=50_000) for _ in range(4)]
    access = folder / "s3.json"
    credentials = [{"accessKey": KEY, "secretKey": SECRET}]
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    access.write_text(
        json.dumps({"identities": [{"name": "t", "credentials": credentials, "actions": actions}]})
    )
    (folder / "weed").mkdir()
    log = (folder / "weed.log").open("w")
    server = subprocess.Popen(
        [
            str(BIN / "weed"), "server", f"-dir={folder}/weed", "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1", f"-master.port={ports[0]}", f"-volume.port={ports[1]}",
            "-volume.max=100", "-master.volumeSizeLimitMB=64", "-filer",
            f"-filer.port={ports[2]}", "-s3", f"-s3.port={ports[3]}",
            f"-s3.config={access}",
        ],
        stdout=log,
        stderr=subprocess.STDOUT,
    )  # fmt: skip
    s3 = S3(f"http://127.0.0.1:{ports[3]}")
    try:
        _until(lambda: _listens(ports[3]), server, log.name)

        def has_buckets() -> bool:
            files = fsspec.filesystem(
                "s3", key=KEY, secret=SECRET, endpoint_url=s3.endpoint, use_listings_cache=False
            )
            try:
                for bucket in BUCKETS:
                    files.makedirs(bucket, exist_ok=True)
                files.pipe_file(f"{BUCKETS[0]}/probe", b"there")
                files.rm_file(f"{BUCKETS[0]}/probe")
            except OSError:  # its parts find each other one after the other
                return False
            return True

        _until(has_buckets, server, log.name)
        yield s3
    finally:
        server.terminate()
        try:
            server.wait(timeout=20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        log.close()


def _until(condition: Callable[[], bool], server: subprocess.Popen, log: str) -> None:
    deadline = time.monotonic() + 90
    while not condition():
        assert server.poll() is None, Path(log).read_text()
        assert time.monotonic() < deadline, Path(log).read_text()[-3000:]
        time.sleep(0.3)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _free_port(below: int = 65_536) -> int:
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port < below:
            return port
