"""Find the source partitions that a changed joined table concerns, and record what tells.

A version keeps a digest of every row of a joined table, and which keys the rows of each source
partition have (`shuffle/join_keys.py`). Where the table changed, the keys whose digests differ are
looked for in the partitions' keys; no row of the main table is read for that.
"""

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa

from headrace.errors import RemovedError
from headrace.lake.build import Build, FollowedJoin
from headrace.lake.damage import explain_damage, read_parquet
from headrace.lake.sidecar import read_sidecar_bytes, read_sidecar_text
from headrace.prepare.attempt import Attempt
from headrace.prepare.plan import Plan
from headrace.prepare.shuffle.join_keys import (
    find_partitions_with_keys,
    list_key_files,
    locate_join_keys,
)
from headrace.progress import Progress
from headrace.source.lookups import (
    Lookup,
    find_changed_keys,
    name_lookup,
    pack_digests,
    read_lookup,
    shorten_keys,
)

if TYPE_CHECKING:
    import numpy as np
    from pyspark.sql import SparkSession

_KEY_TYPES_FILE = "join_keys.json"


@dataclass(frozen=True)
class FollowedLookups:
    """What a version records of joined tables.

    Attributes:
        joins: name of a join -> where the digests of its table's rows are.
        files: new files of the sidecar.
    """

    joins: dict[str, FollowedJoin] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)


def choose_concerned_partitions(
    spark: "SparkSession", attempt: Attempt, plan: Plan
) -> tuple[Plan, dict[str, pa.Table]]:
    """Have a plan process the source partitions that its changed joined tables concern.

    Args:
        spark: the session.
        attempt: the build.
        plan: with `changed_lookups`.

    Returns:
        the plan, in which everything is processed where it cannot be told; and the digests of the
        tables' rows now, by the name of the join.

    Raises:
        LakeError: a joined table is missing or unreadable, or has two rows for a key.
    """
    assert plan.base is not None
    build, recipe = plan.base.build, attempt.recipe
    everything = plan.with_everything(f"table {', '.join(plan.changed_lookups)} changed")
    attempt.report(Progress(f"looking for changed rows of {', '.join(plan.changed_lookups)}"))
    digests: dict[str, pa.Table] = {}
    changed: dict[int, np.ndarray] = {}
    types: dict[str, tuple[str, ...]] = {}
    for position, join in enumerate(recipe.source.joins):
        if join.table not in plan.changed_lookups or join.on_change == "keep":
            continue
        name = name_lookup(recipe, position)
        lookup = read_lookup(spark, recipe, position, plan.lookups.get(join.table))
        before = build.joins.get(name)
        if lookup is None or before is None:
            return everything, {}
        digests[name] = lookup.digest_rows()
        then = _read_digests(attempt.root, before, position)
        if then is None or before.key_types != lookup.key_types:
            return everything, {}
        types[name] = lookup.key_types
        changed[position] = shorten_keys(find_changed_keys(then, digests[name]))
    concerned = _find_concerned(attempt.root, plan, changed, types)
    keys = sum(len(values) for values in changed.values())
    why = (
        f"table {', '.join(plan.changed_lookups)} changed (keys with other rows: {keys:,}; source "
        f"partitions that have them: {len(concerned):,})"
    )
    if plan.processed or plan.removed:
        why = f"{plan.why}; {why}"
    return plan.with_partitions(concerned, why), digests


def _find_concerned(
    root: str,
    plan: Plan,
    changed: "dict[int, np.ndarray]",
    types: dict[str, tuple[str, ...]],
) -> frozenset[str]:
    """Find the retained partitions with rows of changed keys; those of a build that did not record
    its keys, or hashed others, may have some."""
    assert plan.base is not None
    names: dict[str, set[str]] = {}
    for partition in plan.base.build.partitions:
        if partition.name in plan.retained:
            names.setdefault(partition.build_id, set()).add(partition.name)
    found: set[str] = set()
    for build_id, of_build in names.items():
        recorded, files = _read_key_types(root, build_id)
        if any(recorded.get(name) != kinds for name, kinds in types.items()):
            found |= of_build
        else:
            folder = locate_join_keys(root, build_id)
            found |= find_partitions_with_keys(folder, files, changed, of_build)
    return frozenset(found)


def record_lookups(
    attempt: Attempt,
    plan: Plan,
    lookups: tuple[Lookup, ...] = (),
    digests: dict[str, pa.Table] | None = None,
) -> FollowedLookups:
    """Return what a version records of joined tables.

    Args:
        attempt: the build.
        plan: of the build.
        lookups: tables that were joined; none where no row was read.
        digests: of tables that were read before.
    """
    digests = digests or {}
    old: Build | None = plan.base.build if plan.base and not plan.refit else None
    joins = dict(old.joins) if old else {}
    files = {}
    for name, table in digests.items():
        key_types = joins[name].key_types
        joins[name] = FollowedJoin(build_id=attempt.build_id, key_types=key_types)
        files[_name_file(name)] = pack_digests(table)
    for lookup in lookups:
        is_known = lookup.name in joins and _name_table(lookup.name) not in plan.changed_lookups
        if lookup.name not in digests and not is_known:
            files[_name_file(lookup.name)] = pack_digests(lookup.digest_rows())
            joins[lookup.name] = FollowedJoin(build_id=attempt.build_id, key_types=lookup.key_types)
    if lookups:
        kept = {
            "types": {lookup.name: lookup.key_types for lookup in lookups},
            "files": list_key_files(locate_join_keys(attempt.root, attempt.build_id)),
        }
        files[_KEY_TYPES_FILE] = json.dumps(kept).encode()
    return FollowedLookups(joins, files)


def _name_file(name: str) -> str:
    """Return the name of the file with the digests of a join's table."""
    return f"lookup-{name.partition(':')[0]}.parquet"


def _name_table(name: str) -> str:
    return name.partition(":")[2]


def _read_digests(root: str, join: FollowedJoin, position: int) -> pa.Table | None:
    """Read the digests of a joined table's rows; None where they were removed."""
    try:
        content = read_sidecar_bytes(root, join.build_id, _name_file(f"{position}:"))
    except RemovedError:
        return None
    return read_parquet(content, f"dataset {root}: {_name_file(f'{position}:')}")


def _read_key_types(root: str, build_id: str) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    """Read what a build hashed of each join's keys, and the files that have them; nothing where it
    recorded none."""
    try:
        text = read_sidecar_text(root, build_id, _KEY_TYPES_FILE)
    except RemovedError:
        return {}, []
    with explain_damage(f"dataset {root}: {_KEY_TYPES_FILE} of build {build_id}"):
        kept = json.loads(text)
        return {name: tuple(words) for name, words in kept["types"].items()}, kept["files"]
