"""Lay out the metrics that the end of a command shows, beside their baselines.

Which of the test split, the evaluation has chosen (`evaluate/headline.py`), as on its page. All
others are in the result (`--json`), in the run, and with `--verbose`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from headrace.number_text import format_number

MOST_METRICS = 5
_TEST = "test_"
_WIDTH = 10  # of a column of numbers
_NAME_WIDTH = 22
_BASELINES = {"label.baseline": "baseline"}


def format_headline(result: Mapping[str, Any]) -> list[str]:
    """Return the lines of the metrics that say most, with those of the references beside them.

    Args:
        result: of stages; `metrics`, and where a model was evaluated `verdict` and `headline`.
    """
    metrics = result["metrics"]
    if "verdict" in result:
        return _format_test_metrics(result)
    validated = [name for name in metrics if name.startswith("val_")]
    names = [name for name in ("train_loss", *validated) if name in metrics][:MOST_METRICS]
    epochs, best = metrics.get("epochs"), metrics.get("best_epoch")
    title = "Metrics"
    if epochs is not None and best is not None:
        title = f"Metrics, best epoch {best + 1:.0f} of {epochs:.0f}"
    rows = [(name, [metrics[name]]) for name in names]
    return _lay_out(title, (), rows, total=len(metrics))


def _format_test_metrics(result: Mapping[str, Any]) -> list[str]:
    metrics = result["metrics"]
    references = result["verdict"].get("references", {}).get("results", {})
    names = [name.removeprefix(_TEST) for name in result["headline"]]
    rows = [
        (name, [metrics[f"{_TEST}{name}"], *_list_values(references.values(), name)])
        for name in names
    ]
    count = metrics.get(f"{_TEST}rows")
    title = "Test split" if count is None else f"Test, {count:,.0f} rows"
    columns = ("model", *(_BASELINES.get(name, name) for name in references))
    return _lay_out(title, columns, rows, total=len(metrics))


def _list_values(references: Iterable[Mapping[str, Any]], name: str) -> list[float | None]:
    return [reference["metrics"].get(name) for reference in references]


def _lay_out(
    title: str,
    columns: Sequence[str],
    rows: Sequence[tuple[str, Sequence[float | None]]],
    total: int,
) -> list[str]:
    """Return the lines of a table of numbers; columns whose name is longer are wider."""
    widths = [max(_WIDTH, len(column) + 2) for column in columns] or [_WIDTH + 2]
    name_width = max([_NAME_WIDTH, len(title), *(len(name) + 2 for name, _ in rows)])
    heads = [column.rjust(width) for column, width in zip(columns, widths, strict=False)]
    lines = [f"{title:<{name_width}}{''.join(heads)}".rstrip()]
    for name, values in rows:
        cells = [
            ("" if value is None else format_number(value, 4)).rjust(width)
            for value, width in zip(values, widths, strict=True)
        ]
        lines.append(f"  {name:<{name_width - 2}}{''.join(cells)}".rstrip())
    if total > len(rows):
        lines.append(f"  {total - len(rows)} more: -v, --json, and the run in MLflow")
    return lines
