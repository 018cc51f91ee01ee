"""Write docs/licences.md: the licence of every package that an installation or image brings.

    python scripts/licences.py > docs/licences.md

Read from the metadata of the environment that runs it; `make licences` runs it in the locked one.
"""

import re
from collections.abc import Iterable
from importlib.metadata import Distribution, distributions
from importlib.metadata import requires as requirements_of

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_PACKAGE = "headrace"
ALL_EXTRAS = ("train", "horovod", "s3", "iceberg", "examples", "tracking")
"""Extras that the locked environment has; the group `all` of pyproject.toml, and what is in it."""
# Compiled apart, so that no extra names it.
_COMPILED = "horovod"


def main() -> None:
    """Print a table of the packages that Headrace needs to run, directly or indirectly."""
    installed = list_installed()
    base = collect_requirements(installed, ())
    needed = collect_requirements(installed, ALL_EXTRAS) | {_COMPILED}
    print("# Licences\n")
    print(
        "The wheel holds Headrace's own files alone. What an installation or a container image\n"
        "brings beside them, in the versions of `uv.lock`; made by `make licences`. `base` is\n"
        "what `pip install headrace` brings, the rest is of its extras.\n"
    )
    print("| package | version | licence | |\n| --- | --- | --- | --- |")
    for name in sorted(needed):
        metadata = installed[name].metadata
        licence, part = describe_licence(installed[name]), "base" if name in base else ""
        print(f"| {metadata['Name']} | {metadata['Version']} | {licence} | {part} |")


def list_installed() -> dict[str, Distribution]:
    """Return the distributions of this environment by canonical name."""
    return {str(canonicalize_name(d.metadata["Name"])): d for d in distributions()}


def collect_requirements(installed: dict[str, Distribution], extras: Iterable[str]) -> set[str]:
    """Return the canonical names of what Headrace requires, directly or indirectly.

    Args:
        installed: what is not among them is left out.
        extras: of Headrace, that are installed with it.
    """
    needed: set[str] = set()
    visited: set[tuple[str, str]] = set()
    pending = [(_PACKAGE, extra) for extra in ("", *extras)]
    while pending:
        name, extra = pending.pop()
        if (name, extra) in visited or name not in installed:
            continue
        visited.add((name, extra))
        needed.add(name)
        of_package = requirements_of(_PACKAGE) if name == _PACKAGE else installed[name].requires
        for requirement in map(Requirement, of_package or []):
            if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
                continue
            required = str(canonicalize_name(requirement.name))
            pending += [(required, wanted) for wanted in ("", *requirement.extras)]
    return needed - {_PACKAGE}


def describe_licence(distribution: Distribution) -> str:
    """Return the licence that a package's metadata names, on one line."""
    metadata = distribution.metadata
    if expression := metadata.get("License-Expression"):
        return str(expression)
    classifiers = [
        classifier.rpartition(" :: ")[2]
        for classifier in metadata.get_all("Classifier") or []
        if classifier.startswith("License :: ") and not classifier.endswith("OSI Approved")
    ]
    text = re.sub(r"\s+", " ", (metadata.get("License") or "").strip())
    return ", ".join(classifiers) or (text if 0 < len(text) <= 60 else "see the package")


if __name__ == "__main__":
    main()
