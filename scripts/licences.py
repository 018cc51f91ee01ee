"""Write docs/licences.md: the licence of every package that an installation or image brings.

    python scripts/licences.py > docs/licences.md

Read from the metadata of the environment that runs it; `make licences` runs it in the locked one.
"""

import re
from importlib.metadata import Distribution, distributions
from importlib.metadata import requires as requirements_of

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_PACKAGE = "headrace"


def main() -> None:
    """Print a table of the packages that Headrace needs to run, directly or indirectly."""
    installed = {canonicalize_name(d.metadata["Name"]): d for d in distributions()}
    needed = collect_requirements(installed)
    print("# Licences\n")
    print(
        "The wheel holds Headrace's own files alone. What an installation or a container image\n"
        "brings beside them, in the versions of `uv.lock`; made by `make licences`.\n"
    )
    print("| package | version | licence |\n| --- | --- | --- |")
    for name in sorted(needed):
        metadata = installed[name].metadata
        print(
            f"| {metadata['Name']} | {metadata['Version']} | {describe_licence(installed[name])} |"
        )


def collect_requirements(installed: dict[str, Distribution]) -> set[str]:
    """Return the canonical names of what Headrace requires, directly or indirectly."""
    needed: set[str] = set()
    pending = list(requirements_of(_PACKAGE) or [])
    while pending:
        requirement = Requirement(pending.pop())
        name = canonicalize_name(requirement.name)
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        if name in installed and name not in needed:
            needed.add(name)
            pending += installed[name].requires or []
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
