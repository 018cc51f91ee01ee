"""Make the files of a sidecar that have the statistics of a version."""

from collections.abc import Mapping
from typing import Any

from headrace.lake.build import Build
from headrace.lake.column_totals import TOTALS_FILE, write_totals
from headrace.lake.data_statistics import STATISTICS_FILE, DataStatistics
from headrace.lake.profile import VERSION_PROFILE_FILE, Profile
from headrace.lake.row_sample import RowSample
from headrace.lake.sidecar import ROW_SAMPLE_FILE
from headrace.lake.version import DatasetVersion
from headrace.prepare.statistics.alerts import find_alerts
from headrace.prepare.statistics.rows import DescribedRows, add_base
from headrace.prepare.statistics.summaries import summarize_rows
from headrace.prepare.write.job import Written
from headrace.transform.spec import TransformSpec


def build_statistics(
    build: Build,
    profile: Profile,
    written: Written,
    spec: TransformSpec,
    base: DatasetVersion | None,
    files: Mapping[str, str | bytes],
) -> tuple[dict[str, str | bytes], DataStatistics | None]:
    """Compute the statistics of a version that a build wrote rows of.

    Args:
        build: of the version.
        profile: of the rows that it wrote.
        written: what its tasks collected.
        spec: the transform.
        base: version whose files it takes over, or some of them; None where there is none.
        files: of the sidecar; the version's profile is among them where it is known.

    Returns:
        files of the sidecar, and the statistics; none where nothing was collected.
    """
    if written.sample is None:
        return {}, None
    published = build.processed_ledger.published if build.is_partial else build.ledger.published
    own = DescribedRows.of_build(published, profile, written.totals, written.sample)
    texts: dict[str, str | bytes] = {TOTALS_FILE: written.totals_file}
    if not build.is_partial:
        return _finish(texts, own, build, profile, spec, "version")
    whole, whole_profile = None, _read_version_profile(files)
    if base is not None and whole_profile is not None:
        whole = add_base(base, build, own, whole_profile)
    if whole is None or whole_profile is None:
        return _finish(texts, own, build, profile, spec, "build")
    return _finish(texts, whole, build, whole_profile, spec, "version")


def take_over_statistics(
    origin: DatasetVersion, build: Build, spec: TransformSpec, files: Mapping[str, str | bytes]
) -> tuple[dict[str, str | bytes], DataStatistics | None]:
    """Compute the statistics of a version whose rows are all of an earlier one, or some of them.

    Args:
        origin: the earlier version.
        build: of the version.
        spec: the transform.
        files: of the sidecar.

    Returns:
        files of the sidecar, and the statistics; none where the earlier version has none.
    """
    texts: dict[str, str | bytes] = {TOTALS_FILE: write_totals([])}
    profile = _read_version_profile(files)
    if profile is None:
        return texts, None
    nothing = DescribedRows(rows={}, missing={}, totals={}, sample=RowSample.merge([]))
    whole = add_base(origin, build, nothing, profile)
    if whole is None:
        return texts, None
    return _finish(texts, whole, build, profile, spec, "version")


def _read_version_profile(files: Mapping[str, str | bytes]) -> Profile | None:
    text = files.get(VERSION_PROFILE_FILE)
    return Profile.model_validate_json(text) if text else None


def _finish(
    texts: dict[str, str | bytes],
    described: DescribedRows,
    build: Build,
    profile: Profile,
    spec: TransformSpec,
    scope: str,
) -> tuple[dict[str, str | bytes], DataStatistics]:
    statistics, frequencies = summarize_rows(described, spec, scope)
    leakage = _read_leakage(build.recipe)
    alerts = find_alerts(
        statistics, frequencies, profile, build.drift, spec, leakage.get("limit"),
        leakage.get("allow") or (),
    )  # fmt: skip
    statistics = statistics.model_copy(update={"alerts": alerts})
    texts = {**texts, STATISTICS_FILE: statistics.model_dump_json()}
    if _keeps_raw_rows(build.recipe):
        texts[ROW_SAMPLE_FILE] = described.sample.to_bytes()
    return texts, statistics


def _keeps_raw_rows(recipe: Mapping[str, Any]) -> bool:
    """Return whether raw rows may lie beside a dataset: `raw_examples: 0` says that none do."""
    dataset = recipe.get("dataset") or {}
    return not isinstance(dataset, Mapping) or dataset.get("raw_examples") != 0


def _read_leakage(recipe: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the recipe's `evaluate.leakage`; empty where it has none."""
    evaluate = recipe.get("evaluate") or {}
    return evaluate.get("leakage") or {} if isinstance(evaluate, Mapping) else {}
