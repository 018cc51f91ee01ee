"""Predict what embedding tables and streams take on ranks, from the newest dataset version."""

from headrace.commands.check.remark import Kind, Remark
from headrace.commands.doctor.embeddings import check_embeddings
from headrace.commands.doctor.finding import Finding, State
from headrace.commands.doctor.stream_memory import check_stream_memory
from headrace.errors import HeadraceError
from headrace.recipe import Recipe
from headrace.source.first_look import is_local

_TABLES, _STREAM = "embeddings", "stream"
_KINDS = {State.OK: Kind.OK, State.WARN: Kind.SUSPECTED, State.FAIL: Kind.RECIPE}


def predict_memory(recipe: Recipe, *, remote: bool) -> list[Remark]:
    """Predict bytes of tables and moments, traffic of an update, and bytes of blocks and batches,
    for the recipe's ranks."""
    from headrace.lake.storage import resolve_root
    from headrace.lake.version import find_newest_version

    root = resolve_root(recipe.dataset.path)
    if not is_local(root) and not remote:
        text = "the dataset is in a remote store, which is asked with --remote"
        return [Remark(Kind.UNCHECKED, where, text) for where in (_TABLES, _STREAM)]
    try:
        version = find_newest_version(root)
    except HeadraceError:  # said by the check of the dataset
        version = None
    if version is None:
        text = "no version is published yet, so the sizes of {} are not known"
        return [
            Remark(Kind.UNCHECKED, _TABLES, text.format("vocabularies")),
            Remark(Kind.UNCHECKED, _STREAM, text.format("row groups")),
        ]
    ranks = f"{recipe.train.rank_count} ranks" if recipe.train.rank_count > 1 else "1 rank"
    tables = [_remark(f, f"{f.what}, on {ranks}") for f in check_embeddings(recipe)]
    line = recipe.get_line("stream.memory")
    streams = [_remark(f, f.what, line) for f in check_stream_memory(recipe)]
    none = Remark(Kind.OK, _TABLES, f"version {version} has none to tell of")
    return [*(tables or [none]), *streams]


def _remark(finding: Finding, text: str, line: int | None = None) -> Remark:
    return Remark(_KINDS[finding.state], finding.name, text, finding.fix, line=line)
