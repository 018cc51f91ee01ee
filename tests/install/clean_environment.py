"""A virtual environment with nothing in it, in an empty home, on a machine without a compiler."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.e2e.running import ROOT, Done

_COMPILER = re.compile(
    r"(.*-)?(gcc|g\+\+|cc|c\+\+|c[89]9|cpp|clang|clang\+\+|ld|as|make|gmake|cmake|ninja)(-[\d.]+)?"
)
# How this machine reaches its package index.
_NETWORK = re.compile(r"(PIP_|SSL_|REQUESTS_)\w+|(?i:https?_proxy|no_proxy)|LANG|JAVA_HOME")


class CleanEnvironment:
    """A virtual environment, and how commands run in it.

    Attributes:
        folder: for the environment, its home and its programs.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "home").mkdir(parents=True)
        _link_programs(folder / "programs")
        subprocess.run(
            [sys._base_executable, "-m", "venv", str(folder / "venv")],  # type: ignore[attr-defined]
            check=True,
        )

    def run(self, *command: str, compiler: bool = False, **environment: str) -> Done:
        """Run a program of the environment.

        Args:
            command: its name and its arguments.
            compiler: whether it finds this machine's compiler.
            environment: further variables.
        """
        programs = os.environ["PATH"] if compiler else str(self.folder / "programs")
        variables = {key: value for key, value in os.environ.items() if _NETWORK.fullmatch(key)}
        variables |= {
            "HOME": str(self.folder / "home"),
            "PATH": f"{self.folder}/venv/bin:{programs}",
            "PIP_CACHE_DIR": str(self.folder / "pip"),
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }
        path = self.folder / "venv/bin" / command[0]
        done = subprocess.run(
            [str(path), *command[1:]],
            capture_output=True, text=True, check=False, cwd=self.folder,
            env={**variables, **environment},
        )  # fmt: skip
        return Done(done.returncode, done.stdout, done.stderr)

    def install(self, *requirements: str) -> None:
        """Install with plain pip, which finds no compiler."""
        done = self.run("python", "-m", "pip", "install", "--quiet", *requirements)
        assert done.code == 0, done.out + done.err

    def list_packages(self) -> set[str]:
        """Return the names of the installed packages."""
        done = self.run("python", "-m", "pip", "list", "--format=freeze")
        return {line.partition("==")[0].lower() for line in done.out.splitlines()}

    def measure_mib(self) -> int:
        """Measure what is installed, without the byte-code that Python makes of it."""
        site = next((self.folder / "venv/lib").glob("python*/site-packages"))
        files = (path for path in site.rglob("*") if path.suffix != ".pyc" and path.is_file())
        return sum(path.stat().st_size for path in files) // 2**20


def build_wheel(folder: Path) -> str:
    """Build the wheel of this checkout, and return its path."""
    subprocess.run([str(ROOT / "scripts/package.sh"), str(folder)], check=True)
    (wheel,) = folder.glob("*.whl")
    return str(wheel)


def _link_programs(folder: Path) -> None:
    """Link every program of this machine into a folder, but what compiles."""
    folder.mkdir()
    for place in os.get_exec_path():
        if place.startswith(sys.prefix) or not Path(place).is_dir():
            continue
        for program in Path(place).iterdir():
            link = folder / program.name
            if not _COMPILER.fullmatch(program.name) and not link.is_symlink():
                link.symlink_to(program)
    assert shutil.which("g++", path=str(folder)) is None
