"""Publish what a build wrote: check the accounts, write its sidecar, commit.

A version is made of source partitions. Those that the build processed have its files; the files of
the others are taken over from the base version, and what is replaced or gone is removed from the
table in the same commit.
"""

from collections.abc import Iterable

import headrace
from headrace.errors import LakeError
from headrace.formats import TRANSFORM
from headrace.lake.build import EXAMPLES, Build
from headrace.lake.commit import publish
from headrace.lake.histogram import AXES, axes_to_json
from headrace.lake.ledger import Ledger
from headrace.lake.profile import TALLIES, FileTally
from headrace.lake.source_partition import Crossing, SourceFile
from headrace.lake.transform_file import transform_digest
from headrace.prepare.accounts import partitions_of
from headrace.prepare.attempt import Attempt
from headrace.prepare.build import Rows
from headrace.prepare.plan import Plan
from headrace.prepare.report import report_html
from headrace.prepare.write.schema import file_schema
from headrace.progress import Progress
from headrace.provenance import find_git_commit
from headrace.redaction import redact, redact_recipe
from headrace.source.listing import by_partition, list_table, same_files
from headrace.source.read import Raw
from headrace.transform.spec import TransformSpec


def publish_rows(attempt: Attempt, plan: Plan, raw: Raw, rows: Rows) -> int:
    """Commit written rows with those of the base that are kept; returns the new version.

    Raises:
        LedgerError: a row is unaccounted for.
        LakeError: a file changed while it was read.
        ConflictError: another build was committed meanwhile.
    """
    recipe = attempt.recipe
    attempt.report(Progress("checking the ledger and committing"))
    own = partitions_of(plan, attempt.build_id, raw, rows.checked, rows.fitted.counts, rows.written)
    for partition in own:
        partition.ledger.check()
    crossings = [
        Crossing(loser=loser, winner=winner)
        for loser, winner in sorted(rows.fitted.counts.crossings)
    ]
    _refuse_changed_files(attempt, plan)
    base, kept = (plan.base, plan.kept) if not plan.refit else (None, frozenset[str]())
    old = base.build if base else None
    partitions = [*own, *(p for p in (old.partitions if old else ()) if p.name in kept)]
    partitions.sort(key=lambda p: p.name)
    files = [*rows.written.files, *(f for f in (old.files if old else ()) if f.partition in kept)]
    if not any(file.split == "train" for file in files):
        raise LakeError(
            f"no row of table {recipe.source.main!r} is left to train on, of {raw.rows_read:,} "
            f"that were read: {'; '.join(Ledger.total(p.ledger for p in own).lines())}. Nothing "
            "was published; look at the source, the label and the rules"
        )
    # A base's transform is taken over as it is written, whatever its format.
    transform_json = base.transform_json if base else rows.fitted.spec.to_json()
    build = Build(
        build_id=attempt.build_id,
        created_at=attempt.now.isoformat(timespec="seconds"),
        headrace_version=headrace.__version__,
        recipe=redact_recipe(recipe.resolved()),
        sources=redact(raw.sources),
        ledger=Ledger.total(p.ledger for p in partitions),
        files=tuple(sorted(files, key=lambda f: f.path)),
        label_kind=recipe.label.kind,
        transform_digest=transform_digest(transform_json),
        transform_format=old.transform_format if old else TRANSFORM.current,
        transform_of=(old.transform_of or old.build_id) if old else None,
        base=attempt.version,
        given_id=attempt.given_id,
        git_commit=find_git_commit(),
        partitions=tuple(partitions),
        pruned=plan.pruned,
        lookups=dict(plan.lookups),
        crossings=(
            *(c for c in (old.crossings if old else ()) if c.loser in kept),
            *crossings,
        ),
        class_weights=rows.weights,
        key_types=rows.key_types,
        kept=dict(rows.kept),
        drift=rows.drift,
        quarantine=f"_headrace/{attempt.build_id}/quarantine" if rows.quarantined else None,
    )
    texts: dict[str, str | bytes] = {
        "profile.json": rows.profile.model_dump_json(),
        "report.html": report_html(recipe.name, build, rows.profile),
        TALLIES: FileTally.write_all(rows.written.tallies),
    }
    if old is None:
        texts[AXES] = axes_to_json(rows.axes)
    if rows.written.examples:
        texts[EXAMPLES] = rows.written.examples
    schema = file_schema(rows.fitted.spec, rows.kept)
    return publish(attempt.root, build, schema, transform_json, texts)


def publish_without(attempt: Attempt, plan: Plan) -> int:
    """Commit the base without the source partitions that are gone; returns the new version.

    Raises:
        LakeError: nothing would be left.
        ConflictError: another build was committed meanwhile.
    """
    assert plan.base is not None
    old = plan.base.build
    kept = plan.kept
    files = tuple(f for f in old.files if f.partition in kept)
    if not any(f.split == "train" for f in files):
        raise LakeError(
            f"source partitions are gone ({', '.join(sorted(plan.removed)[:5])}), and without them "
            "the dataset has no training rows; nothing was published"
        )
    attempt.report(Progress("committing the version without source partitions that are gone"))
    partitions = tuple(p for p in old.partitions if p.name in kept)
    build = old.model_copy(
        update={
            "build_id": attempt.build_id,
            "created_at": attempt.now.isoformat(timespec="seconds"),
            "headrace_version": headrace.__version__,
            "recipe": redact_recipe(attempt.recipe.resolved()),
            "sources": {name: {**source, "rows": 0} for name, source in old.sources.items()},
            "ledger": Ledger.total(p.ledger for p in partitions),
            "files": files,
            "transform_of": old.transform_of or old.build_id,
            "base": attempt.version,
            "given_id": attempt.given_id,
            "git_commit": find_git_commit(),
            "partitions": partitions,
            "pruned": plan.pruned,
            "lookups": dict(plan.lookups),
            "crossings": tuple(c for c in old.crossings if c.loser in kept),
            "drift": (),
            "quarantine": None,
        }
    )
    spec = TransformSpec.from_json(plan.base.transform_json)
    profile = plan.base.fitted_profile.of_files([], ())
    texts: dict[str, str | bytes] = {
        "profile.json": profile.model_dump_json(),
        "report.html": report_html(attempt.recipe.name, build, profile),
        TALLIES: FileTally.write_all([]),
    }
    schema = file_schema(spec, old.kept)
    return publish(attempt.root, build, schema, plan.base.transform_json, texts)


def _refuse_changed_files(attempt: Attempt, plan: Plan) -> None:
    """What was read is what was listed, or nothing is published."""
    source = attempt.recipe.source
    if plan.listing is not None:
        now = list_table(source.tables[source.main], plan.listing.files)
        found = by_partition(now.without(plan.left_out).files, plan.by) if now else {}
        for name in plan.process:
            differing = _identities(plan.partitions[name]) ^ _identities(found.get(name, ()))
            if differing:
                raise _changed(source.main, min(differing)[0])
    for table, before in plan.lookups.items():
        now = list_table(source.tables[table], {f.path: f for f in before})
        if now is None or not same_files(now.files.values(), before):
            raise _changed(table, "its files")


def _identities(files: Iterable[SourceFile]) -> set[tuple[str, int, str]]:
    return {file.identity for file in files}


def _changed(table: str, what: str) -> LakeError:
    return LakeError(
        f"table {table!r}: {what} changed during the build, so what was read is neither the old "
        "state nor the new. Nothing was published; run the build again"
    )
