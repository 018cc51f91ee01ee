"""The physical plan of a frame, as Spark shows it to anyone, through a server as well."""

import contextlib
import io
from typing import Any


def describe_physical_plan(frame: Any) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        frame.explain()
    return shown.getvalue()
