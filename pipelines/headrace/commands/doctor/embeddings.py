"""Predict what the embedding tables of a recipe take, before ranks are started."""

import psutil

from headrace.commands.doctor.finding import Finding, report_ok, report_warning
from headrace.errors import HeadraceError
from headrace.recipe import Recipe

_LARGE_BYTES = 64 * 2**20
_GIB = 2**30
_LAZY = "set train.optimizer.sparse: lazy, or "
# Of optimizers that have no lazy form.
_FIXES = {"lamb": "set train.optimizer to kind: adamw with sparse: lazy, or to "}


def check_embeddings(recipe: Recipe) -> list[Finding]:
    """Predict bytes of tables and moments, and traffic, from the newest version of the dataset.

    Nothing is said where no version is published: the sizes of vocabularies are not known then.
    """
    from headrace.lake.version import DatasetVersion
    from headrace.train.preflight import load_published_spec
    from headrace.train.table_policy import describe_cost, predict_table_costs

    try:
        spec = load_published_spec(DatasetVersion.open(recipe.dataset.path))
    except HeadraceError:  # what is wrong with a dataset is said by the check of it
        return []
    settings = recipe.train
    costs = predict_table_costs(recipe.model, spec, settings)
    findings = []
    for cost in costs:
        if cost.table_bytes >= _LARGE_BYTES and cost.is_sparse and not cost.is_by_row:
            findings.append(
                report_warning(
                    "embeddings",
                    f"{describe_cost(cost)}, {settings.optimizer.kind} moves every row in every "
                    "step",
                    f"{_FIXES.get(settings.optimizer.kind, _LAZY)}kind: rowwise_adagrad: a step "
                    "then costs what its batch has",
                )
            )
        else:
            findings.append(report_ok("embeddings", describe_cost(cost)))
    # A dense gradient is as large as its table.
    own_bytes = sum(
        cost.table_bytes * (1 if cost.is_by_row else 2) + cost.moment_bytes for cost in costs
    )
    ranks = settings.rank_count if settings.launcher.kind in ("auto", "local") else 1
    free = psutil.virtual_memory().available
    if own_bytes * ranks > free:
        findings.append(
            report_warning(
                "embeddings",
                f"tables, moments and gradients of {ranks} ranks take "
                f"{own_bytes * ranks / _GIB:.1f} GiB, and {free / _GIB:.1f} GiB are free",
                "take fewer ranks on this machine, a smaller model.embedding_width, a min_count or "
                "buckets for the largest vocabulary, or rowwise_adagrad with one moment per row",
            )
        )
    return findings
