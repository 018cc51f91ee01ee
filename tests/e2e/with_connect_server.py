"""Run a command while a Spark Connect server is there, which SPARK_REMOTE names.

python -m tests.e2e.with_connect_server COMMAND [ARGUMENT]...
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.e2e.connect_server import ConnectServer


def main() -> int:
    with (
        tempfile.TemporaryDirectory(prefix="headrace-connect-") as folder,
        ConnectServer(Path(folder)) as server,
    ):
        environment = {**os.environ, "SPARK_REMOTE": server.url}
        return subprocess.run(sys.argv[1:], check=False, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
