"""Publish what a build wrote: check the accounts, write its sidecar, commit.

A version is made of source partitions. Those that the build processed have its files; the files of
the others are taken over from the base version, and what is replaced or gone is removed from the
table in the same commit.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

import headrace
from headrace.columns.histogram import AXES_FILE, axes_to_json
from headrace.errors import LakeError
from headrace.formats import TRANSFORM
from headrace.lake.build import Build
from headrace.lake.commit import publish_build
from headrace.lake.data_file import DataFile
from headrace.lake.ledger import Ledger
from headrace.lake.profile import TALLIES_FILE, FileTally
from headrace.lake.sidecar import EXAMPLES_FILE
from headrace.lake.source_partition import CrossPartitionDuplicate, SourcePartition
from headrace.lake.transform_file import compute_transform_digest
from headrace.lake.version import DatasetVersion
from headrace.prepare.accounts import account_for_partitions
from headrace.prepare.attempt import Attempt
from headrace.prepare.build import BuildResult
from headrace.prepare.key_hashes import INDEX_FILE, KeyHashIndex
from headrace.prepare.lookups import FollowedLookups
from headrace.prepare.merge_key_hashes import merge_key_hashes
from headrace.prepare.plan import Plan
from headrace.prepare.publish_report import make_report
from headrace.prepare.statistics.publish import build_statistics, take_over_statistics
from headrace.prepare.version_profile import build_version_profile
from headrace.prepare.write.rewrite import retain_files
from headrace.prepare.write.schema import build_file_schema
from headrace.progress import Progress
from headrace.provenance import find_git_commit
from headrace.redaction import redact_recipe, redact_value
from headrace.source.changed_files import refuse_changed_partitions, refuse_changed_table
from headrace.source.keys import KEY_DEFINITION
from headrace.source.quarantine.writer import get_quarantine_path
from headrace.source.read import ReadRows
from headrace.transform.spec import TransformSpec


def publish_rows(
    attempt: Attempt, plan: Plan, raw: ReadRows, built: BuildResult, followed: FollowedLookups
) -> int:
    """Commit written rows with those of the base that are retained; return the new version.

    Raises:
        LedgerError: a row is unaccounted for.
        LakeError: a file changed while it was read.
        ConflictError: another build was committed meanwhile.
    """
    recipe = attempt.recipe
    attempt.report(Progress("checking the ledger and committing"))
    processed = account_for_partitions(
        plan, attempt.build_id, raw, built.checks, built.fitted.counts, built.written
    )
    for partition in processed:
        partition.ledger.check_balance()
    duplicates = [
        CrossPartitionDuplicate(loser=loser, winner=winner)
        for loser, winner in sorted(built.fitted.counts.cross_duplicates)
    ]
    _refuse_changed_files(attempt, plan)
    base, retained = (plan.base, plan.retained) if not plan.refit else (None, frozenset[str]())
    old = base.build if base else None
    files = [*built.written.files]
    if base:
        files += retain_files(base, retained, attempt.build_id, attempt.report)
    kept, hashes = _merge_hashes(attempt, built, _list_retained(plan, old, retained), files)
    partitions = sorted([*processed, *kept], key=lambda p: p.name)
    if not any(file.split == "train" for file in files):
        buckets = Ledger.merge_ledgers(p.ledger for p in processed).describe_buckets()
        raise LakeError(
            f"no row of table {recipe.source.main!r} is left to train on, of {raw.rows_read:,} "
            f"that were read: {'; '.join(buckets)}. Nothing was published; look at the source, the "
            "label and the rules"
        )
    # A base's transform is taken over as it is written, whatever its format.
    transform_json = base.transform_json if base else built.fitted.spec.to_json()
    build = Build(
        build_id=attempt.build_id,
        created_at=attempt.started_at.isoformat(timespec="seconds"),
        headrace_version=headrace.__version__,
        recipe=redact_recipe(recipe.dump_resolved()),
        sources=redact_value(raw.sources),
        ledger=Ledger.merge_ledgers(p.ledger for p in partitions),
        files=tuple(sorted(files, key=lambda f: f.path)),
        label_kind=recipe.label.kind,
        transform_digest=compute_transform_digest(transform_json),
        transform_format=old.transform_format if old else _read_format(transform_json),
        transform_of=(old.transform_of or old.build_id) if old else None,
        base=attempt.base_version,
        given_id=attempt.idempotency_id,
        git_commit=find_git_commit(),
        partitions=tuple(partitions),
        pruned=plan.pruned,
        lookups=plan.list_lookup_files(),
        snapshots=plan.list_snapshots(),
        joins=followed.joins,
        erased=plan.erased,
        file_columns=plan.list_file_columns(),
        crossings=(
            *(c for c in (old.crossings if old else ()) if c.loser in retained),
            *duplicates,
        ),
        class_weights=built.weights,
        key_definition=old.key_definition if old else KEY_DEFINITION,
        key_types=built.key_types,
        time_boundaries=built.boundaries,
        kept=dict(built.passthrough),
        stored=built.stored,
        drift=built.drift,
        quarantine=get_quarantine_path(attempt.build_id) if built.quarantined else None,
    )
    texts: dict[str, str | bytes] = {
        "profile.json": built.profile.model_dump_json(),
        TALLIES_FILE: built.written.tallies_file,
        **followed.files,
    }
    if hashes:
        texts[INDEX_FILE] = hashes.to_json()
    if base is None:
        texts[AXES_FILE] = axes_to_json(built.axes)
    else:
        tallies, rules = built.written.tallies_file, built.profile.rules
        texts |= build_version_profile(base, build, tallies, rules)
    if built.written.examples:
        texts[EXAMPLES_FILE] = built.written.examples
    described, statistics = build_statistics(
        build, built.profile, built.written, built.fitted.spec, base, texts
    )
    texts |= described
    texts |= make_report(attempt.root, recipe.name, build, built.profile, statistics, texts)
    schema = build_file_schema(built.fitted.spec, built.passthrough, built.stored)
    return publish_build(
        attempt.root, build, schema, transform_json, texts, _choose_like(old, build)
    )


def _merge_hashes(
    attempt: Attempt,
    built: BuildResult,
    retained: list[SourcePartition],
    files: Collection[DataFile],
) -> tuple[list[SourcePartition], KeyHashIndex | None]:
    """Have few builds with hashes of keys; return what is retained, and this build's index."""
    own = built.written.key_hashes
    if own is None:
        return retained, None
    rows = Counter[str]()
    for file in files:
        for run in file.list_runs():
            rows[run.partition] += run.rows
    merged = merge_key_hashes(attempt.root, attempt.build_id, own, retained, rows)
    moved = {"hashes": attempt.build_id}
    return [
        p.model_copy(update=moved) if p.name in merged.moved else p for p in retained
    ], merged.index


def _read_format(transform_json: str) -> int:
    """Return the format that a transform is written as, the oldest that can say it."""
    return TRANSFORM.parse_version(transform_json) or TRANSFORM.current


def publish_retained(attempt: Attempt, plan: Plan, followed: FollowedLookups) -> int:
    """Commit the base without the source partitions that are gone, and with the files that hold the
    rows of the others now; return the new version. No row of the lake is read.

    Raises:
        LakeError: nothing would be left.
        ConflictError: another build was committed meanwhile.
    """
    assert plan.base is not None
    old = plan.base.build
    retained = plan.retained
    files = retain_files(plan.base, retained, attempt.build_id, attempt.report)
    if not any(f.split == "train" for f in files):
        raise LakeError(
            f"source partitions are gone ({', '.join(sorted(plan.removed)[:5])}), and without them "
            "the dataset has no training rows; nothing was published"
        )
    if plan.changed_lookups:
        _refuse_changed_files(attempt, plan)
    what = (
        "without source partitions that are gone"
        if plan.removed
        else "as it is, with what is known of its tables now; no row is read"
    )
    attempt.report(Progress(f"committing the version {what}"))
    partitions = tuple(_list_retained(plan, old, retained))
    changes = {
        "recipe": redact_recipe(attempt.recipe.dump_resolved()),
        "ledger": Ledger.merge_ledgers(p.ledger for p in partitions),
        "files": files,
        "given_id": attempt.idempotency_id,
        "partitions": partitions,
        "pruned": plan.pruned,
        "lookups": plan.list_lookup_files(),
        "snapshots": plan.list_snapshots(),
        "joins": followed.joins,
        "erased": plan.erased,
        "file_columns": plan.list_file_columns(),
        "crossings": tuple(c for c in old.crossings if c.loser in retained),
    }
    return publish_again(
        plan.base, attempt.build_id, attempt.started_at, attempt.base_version, changes,
        followed.files,
    )  # fmt: skip


def publish_again(
    origin: DatasetVersion,
    build_id: str,
    started_at: datetime,
    base: int | None,
    changes: Mapping[str, Any],
    more_files: Mapping[str, bytes] | None = None,
) -> int:
    """Commit rows of an earlier version as the newest one; return the new version.

    Args:
        origin: the version; no row of it is read.
        build_id, started_at: of the build that publishes them.
        base: the newest version.
        changes: fields of the build that are others than the origin's.
        more_files: further files of the sidecar.

    Raises:
        ConflictError: another build was committed meanwhile.
    """
    old = origin.build
    always = {
        "build_id": build_id,
        "created_at": started_at.isoformat(timespec="seconds"),
        "headrace_version": headrace.__version__,
        "git_commit": find_git_commit(),
        "sources": {name: {**source, "rows": 0} for name, source in old.sources.items()},
        "transform_of": old.transform_of or old.build_id,
        "base": base,
        "drift": (),
        "quarantine": None,
        "restored": None,
        "optimized": None,
    }
    build = old.model_copy(update=always | dict(changes))
    spec = TransformSpec.from_json(origin.transform_json)
    has_same_rows = build.restored is not None or build.optimized is not None
    rules = origin.build_profile.rules if has_same_rows else ()
    profile = origin.fitted_profile.sum_tallies([], rules)
    no_tallies = FileTally.write_tallies([])
    texts: dict[str, str | bytes] = {
        "profile.json": profile.model_dump_json(),
        TALLIES_FILE: no_tallies,
        **build_version_profile(origin, build, no_tallies, rules),
        **(more_files or {}),
    }
    if examples := origin.read_examples_file():
        texts[EXAMPLES_FILE] = examples
    described, statistics = take_over_statistics(origin, build, spec, texts)
    texts |= described
    name = str(build.recipe.get("name", ""))
    texts |= make_report(origin.root, name, build, profile, statistics, texts)
    schema = build_file_schema(spec, old.kept, old.stored)
    like = _choose_like(old, build)
    return publish_build(origin.root, build, schema, origin.transform_json, texts, like)


def _choose_like(old: Build | None, build: Build) -> Build | None:
    """Return the build whose manifests may be used again: none where a person is erased, because
    manifests still have what is gone from the lists, names of source partitions for example."""
    return old if old is not None and old.erased == build.erased else None


def _list_retained(plan: Plan, old: Build | None, names: Collection[str]) -> list[SourcePartition]:
    """Return the partitions that stay, with what is known of their unchanged files now."""
    return [
        partition.model_copy(update={"files": plan.partitions[partition.name]})
        for partition in (old.partitions if old else ())
        if partition.name in names
    ]


def _refuse_changed_files(attempt: Attempt, plan: Plan) -> None:
    """Refuse to publish where what was read is not what was listed."""
    source = attempt.recipe.source
    main = source.tables[source.main]
    refuse_changed_partitions(source.main, main, plan, pruned_folders=plan.pruned_folders)
    for table, listing in plan.lookups.items():
        refuse_changed_table(table, source.tables[table], listing)
