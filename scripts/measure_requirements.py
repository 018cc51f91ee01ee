"""Print how large each set of requirements is, in MiB on disk, without byte-code.

    python scripts/measure_requirements.py

Counted from the files that the packages of the locked environment list; what two sets share counts
in both. Without CUDA, which the extra `gpu` adds.
"""

from importlib.metadata import Distribution

from licences import collect_requirements, list_installed

_SETS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("headrace", ()),
    ("headrace[tracking]", ("tracking",)),
    ("headrace[s3]", ("s3",)),
    ("headrace[iceberg]", ("iceberg",)),
    ("headrace[examples]", ("examples",)),
    ("headrace[train]", ("train",)),
    ("headrace[horovod]", ("horovod",)),
    ("all of it", ("train", "horovod", "s3", "iceberg", "examples")),
)
_LARGEST = 5


def main() -> None:
    """Print a table, with the largest packages of each set."""
    installed = list_installed()
    print("| set | packages | MiB | the largest |\n| --- | ---: | ---: | --- |")
    for title, extras in _SETS:
        names = collect_requirements(installed, extras)
        names |= {"horovod"} if "horovod" in extras else set()
        mib = {name: measure_bytes(installed[name]) / 2**20 for name in names}
        largest = sorted(mib, key=lambda name: -mib[name])[:_LARGEST]
        described = ", ".join(f"{name} {mib[name]:.0f}" for name in largest)
        print(f"| `{title}` | {len(names)} | {sum(mib.values()):,.0f} | {described} |")


def measure_bytes(distribution: Distribution) -> int:
    """Return the size of a package's files, without byte-code."""
    paths = [
        distribution.locate_file(file) for file in distribution.files or [] if file.suffix != ".pyc"
    ]
    return sum(path.stat().st_size for path in paths if path.is_file())  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
