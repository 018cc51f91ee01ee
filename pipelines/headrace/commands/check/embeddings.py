"""Predict what embedding tables take on each rank, from the newest version of the dataset."""

from headrace.commands.check.remark import Kind, Remark
from headrace.commands.doctor.embeddings import check_embeddings
from headrace.commands.doctor.finding import State
from headrace.errors import HeadraceError
from headrace.recipe import Recipe
from headrace.source.first_look import is_local

_WHERE = "embeddings"


def predict_embeddings(recipe: Recipe, *, remote: bool) -> list[Remark]:
    """Predict bytes of tables and moments, and traffic of an update, for the recipe's ranks."""
    from headrace.lake.storage import resolve_root
    from headrace.lake.version import find_newest_version

    root = resolve_root(recipe.dataset.path)
    if not is_local(root) and not remote:
        text = "the dataset is in a remote store, which is asked with --remote"
        return [Remark(Kind.UNCHECKED, _WHERE, text)]
    try:
        version = find_newest_version(root)
    except HeadraceError:  # said by the check of the dataset
        version = None
    if version is None:
        text = "no version is published yet, so the sizes of vocabularies are not known"
        return [Remark(Kind.UNCHECKED, _WHERE, text)]
    ranks = f"{recipe.train.ranks} ranks" if recipe.train.ranks > 1 else "1 rank"
    findings = check_embeddings(recipe)
    remarks = [
        Remark(
            Kind.OK if finding.state is State.OK else Kind.SUSPECTED,
            _WHERE,
            f"{finding.what}, on {ranks}",
            finding.fix,
        )
        for finding in findings
    ]
    return remarks or [Remark(Kind.OK, _WHERE, f"version {version} has none to tell of")]
