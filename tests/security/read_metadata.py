"""Open a dataset whose metadata is mutated again and again: run as a module.

Each mutation of a file of the log or of a sidecar has to be an error of ours, or make no
difference to what is read. The number and the file are printed before, so that the caller knows
the last one; one that hangs ends the process.
"""

import faulthandler
import json
import random
import sys
from collections import Counter
from pathlib import Path
from typing import Any, cast

from headrace.errors import DatasetError
from headrace.lake.build import FollowedJoin
from headrace.lake.compare import compare_versions
from headrace.lake.history import list_versions
from headrace.lake.predictions import open_predictions
from headrace.lake.version import DatasetVersion
from headrace.prepare.build import _choose_axes_and_weights
from headrace.prepare.lookups import _read_digests, _read_key_types
from tests.security.mutations import mutate_bytes

_LIMIT = 10.0


def main(root: str, first: str, end: str, *rest: str) -> None:
    """Read mutations `first` up to `end` of the files below a root, of which a copy is kept.

    Args:
        root: of a dataset or of predictions.
        first, end: numbers of mutations.
        rest: `unchecked` removes the checksums, as datasets of older formats have none.
    """
    is_checked = "unchecked" not in rest
    if not is_checked:
        make_old(Path(root))
    files = sorted(
        path for name in ("_delta_log", "_headrace") for path in (Path(root) / name).rglob("*")
        if path.is_file() and not path.name.endswith(".crc")
    )  # fmt: skip
    expected = observe(root)
    counts: Counter[str] = Counter()
    for number in range(int(first), int(end)):
        path = files[number % len(files)]
        print(f"{number} {path}", flush=True)
        whole = path.read_bytes()
        path.write_bytes(mutate_bytes(whole, random.Random(number)))
        faulthandler.dump_traceback_later(_LIMIT, exit=True)
        try:
            found = observe(root)
        except DatasetError as error:
            assert "\n" not in str(error)
            counts["refused"] += 1
        else:
            counts["same" if found == expected else "different"] += 1
            if found != expected and is_checked:
                names = [n for n in expected if found[n] != expected[n]]
                print(f"DIFFERENT {number} {path.name} {names}", flush=True)
        faulthandler.cancel_dump_traceback_later()
        path.write_bytes(whole)
    print(json.dumps(counts), flush=True)


def observe(root: str) -> dict[str, Any]:
    """What commands read of a dataset's metadata; the times of commits are the log's alone."""
    if list(Path(root).rglob("score.json")):
        version, record = open_predictions(root)
        return {"version": version, "record": record.model_dump()}
    dataset = DatasetVersion.open(root)
    older = DatasetVersion.open(root, 0)
    examples = dataset.read_raw_examples()
    versions = list_versions(root)
    problems = [v.problem for v in versions if v.problem]
    if problems:
        raise DatasetError(problems[0])
    fitted_by = dataset.build.transform_of or dataset.build.build_id
    join = FollowedJoin(build_id=fitted_by, key_types=("string",))
    column = next(name for name in dataset.column_types if name != "split")
    return {
        "build": dataset.build.model_dump(),
        "transform": dataset.transform_json,
        "digest": dataset.digest,
        "profile": dataset.profile.model_dump(),
        "axes": _choose_axes_and_weights(*[cast(Any, x) for x in (None, dataset, None, None)]),
        "lookups": [_read_key_types(root, fitted_by), _read_digests(root, join, 0)],
        "report": dataset.read_text("report.html"),
        "examples": examples.to_pylist() if examples else None,
        "versions": [(v.version, v.build_id, v.summary) for v in versions],
        "compared": str(compare_versions(older, dataset)),
        "rows": dataset.read_columns("train", [column]).num_rows,
    }


def make_old(root: Path) -> None:
    """Make the sidecars those of a format without checksums."""
    for path in root.rglob("SHA256SUMS"):
        path.unlink()
    for path in [*root.rglob("build.json"), *root.rglob("score.json")]:
        tree = json.loads(path.read_text())
        tree["format_version"] = 7 if path.name == "build.json" else 3
        path.write_text(json.dumps(tree))


if __name__ == "__main__":
    main(*sys.argv[1:])
