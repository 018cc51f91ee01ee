"""Run `headrace` and end it with SIGKILL at a step: `python -m tests.e2e.killed STEP prepare …`.

What is killed is the real program; only the moment is chosen here.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

STEPS = (
    "first data file", "before the sidecar", "in the sidecar", "before the commit",
    "after the commit", "reading back", "before the record",
)  # fmt: skip


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def before(owner: Any, name: str) -> None:
    assert hasattr(owner, name), name  # or nothing would be killed
    setattr(owner, name, lambda *_, **__: die())


def after(owner: Any, name: str, then: Callable[[], None] = die) -> None:
    real: Callable[..., Any] = getattr(owner, name)

    def followed(*arguments: Any, **keywords: Any) -> None:
        real(*arguments, **keywords)
        then()

    setattr(owner, name, followed)


def watch_for_data(root: Path) -> None:
    """Of a dataset, or of predictions by day."""

    def files() -> set[Path]:
        return {*root.glob("split=*/*"), *root.glob("day=*/*")}

    there = files()

    def watch() -> None:
        while not files() - there:
            time.sleep(0.002)
        die()

    threading.Thread(target=watch, daemon=True).start()


def third_sidecar_file() -> None:
    from fsspec.implementations.local import LocalFileSystem

    real, seen = LocalFileSystem.open, []

    def opened(self: Any, path: str, mode: str = "rb", **keywords: Any) -> Any:
        if "/_headrace/" in str(path) and "w" in mode:
            seen.append(path)
            if len(seen) == 3:
                die()
        return real(self, path, mode, **keywords)

    LocalFileSystem.open = opened


def arm(step: str, root: Path) -> None:
    from deltalake import DeltaTable

    import headrace.lake.commit as commit
    import headrace.lake.delta as delta
    import headrace.lake.predictions as predictions
    import headrace.prepare.track as record

    match step:
        case "first data file":
            watch_for_data(root)
        case "before the sidecar":
            before(commit, "write_sidecar")
        case "in the sidecar":
            third_sidecar_file()
        case "before the commit":
            before(DeltaTable, "create_write_transaction")
        case "before the first commit":
            before(delta, "create_table_with_add_actions")
        case "after the commit":
            after(DeltaTable, "create_write_transaction")
        case "reading back":
            after(
                DeltaTable,
                "create_write_transaction",
                lambda: before(delta, "find_committed_version"),
            )
        case "before the predictions' record":
            before(predictions, "write_sidecar_files")
        case "before the record":
            before(record, "record_build")
        case _:
            raise ValueError(step)


if __name__ == "__main__":
    arm(sys.argv[1], Path(sys.argv[2]))
    sys.argv = ["headrace", *sys.argv[3:]]
    from headrace.cli import main

    main()
