"""Check a recipe's SQL for values that are not those of the row: of chance, of other rows.

A build reads rows several times, an increment only those of source partitions that changed, and the
same rows must have the same values each time.
"""

from collections.abc import Iterator

from headrace.errors import Problem
from headrace.recipe import sections as s
from headrace.recipe.sql_text import has_star, has_window, list_calls

# Functions whose value is another each time, or depends on how Spark reads.
_VOLATILE = frozenset({
    "input_file_block_length", "input_file_block_start", "input_file_name", "java_method",
    "monotonically_increasing_id", "rand", "randn", "random", "randstr", "reflect", "shuffle",
    "spark_partition_id", "try_reflect", "uniform", "uuid",
})  # fmt: skip
# Functions that make several rows of one.
_GENERATORS = frozenset({
    "explode", "explode_outer", "inline", "inline_outer", "json_tuple", "posexplode",
    "posexplode_outer", "stack", "variant_explode", "variant_explode_outer",
})  # fmt: skip


def list_expressions(
    source: s.Source, label: s.Label, clean: s.Clean
) -> Iterator[tuple[str, str, str]]:
    """List every text of SQL that a recipe has.

    Yields:
        its key; the text; and whose columns it reads, without joined ones: "" for the joined rows.
    """
    for name, table in source.tables.items():
        for key in ("partitions", "where"):
            if text := getattr(table, key):
                yield f"source.tables.{name}.{key}", text, name
    for key in ("expression", "sample_weight", "baseline"):
        if text := getattr(label, key):
            yield f"label.{key}", text, ""
    for index, rule in enumerate(clean.rules):
        if isinstance(rule, s.Expr):
            yield f"clean.rules.{index}.expression", rule.expression, ""


def check_expressions(
    source: s.Source, label: s.Label, clean: s.Clean, increments: s.Increments
) -> list[Problem]:
    """Return problems of SQL that Spark takes, and that gives a row another value another time."""
    problems = []
    for where, text, _ in list_expressions(source, label, clean):
        calls = list_calls(text)
        for name in sorted(calls & _VOLATILE):
            problems.append(
                Problem(
                    where,
                    f"calls {name}(), which gives a row another value each time it is read",
                    "use the row's columns; for a sample, pmod(xxhash64(KEY), 100) < 10",
                )
            )
        for name in sorted(calls & _GENERATORS):
            problems.append(
                Problem(
                    where,
                    f"calls {name}(), which makes several rows of one",
                    "write such a table to the lake",
                )
            )
        is_whole = increments.by == "table" and where.startswith("label.")
        if has_window(text) and not is_whole:
            fix = "compute it in the lake"
            fix += ", or set increments.by: table" if where.startswith("label.") else ""
            problems.append(
                Problem(
                    where,
                    "reads other rows (OVER), and an increment reads only what changed",
                    fix,
                )
            )
    if has_star(label.expression):
        problems.append(
            Problem(
                "label.expression",
                "reads all columns (*), those of the features as well",
                "name the columns that it is computed from",
            )
        )
    return problems
