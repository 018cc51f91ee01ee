"""CMake as Horovod calls it, for the one target that is used, with its output in a file.

Horovod's default target compiles Gloo twice, for two standards of C++, and links one of them; and
all of it with debugging information, of which there is more than code.
Where `HEADRACE_BUILD_LOG` names a file, what is compiled is told there, for whoever waits.
"""

import os
import subprocess
import sys

_TARGET = "tensorflow"
_LAST_LINES = 60


def main() -> None:
    """Run CMake with the arguments of this process, and end as it ends."""
    arguments = choose_arguments(sys.argv[1:])
    log = os.environ.get("HEADRACE_BUILD_LOG")
    if not log:
        os.execvp("cmake", ["cmake", *arguments])  # noqa: S606
    with open(log, "ab") as stream:  # noqa: PTH123
        code = subprocess.call(["cmake", *arguments], stdout=stream, stderr=subprocess.STDOUT)
    if code:
        with open(log, errors="replace", encoding="utf-8") as stream:  # noqa: PTH123
            sys.stderr.write("".join(stream.readlines()[-_LAST_LINES:]))
    sys.exit(code)


def choose_arguments(arguments: list[str]) -> list[str]:
    """Return the arguments with the target, or where they configure with the compiler's flags."""
    if "--build" not in arguments:
        return [*arguments, "-DCMAKE_CXX_FLAGS_RELWITHDEBINFO=-O3 -DNDEBUG"]
    end = arguments.index("--") if "--" in arguments else len(arguments)
    return [*arguments[:end], "--target", _TARGET, *arguments[end:]]


if __name__ == "__main__":
    main()
