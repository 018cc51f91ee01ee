"""Write the card of a model: what it is for, how good it is, where it is not, and how to call it.

Markdown, for people: `card.md` of an evaluation, and the description of the model's version. What
comes from data is written so that it stays text.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.evaluate.headline import Headline, describe_direction
from headrace.evaluate.leakage import FeatureStrength
from headrace.evaluate.slices import SliceResult
from headrace.lake.data_file import SPLITS
from headrace.number_text import format_number, format_share
from headrace.pages.markup import clean_text, shorten
from headrace.pages.table import format_signed

_MOST_SLICES, _MOST_GATES, _MOST_COLUMNS, _MOST_LIMITS = 8, 10, 30, 12
_SPECIAL = re.compile(r"([\\`*_\[\]<>|#&~$])")
_DECISIONS = {True: "passed", False: "**failed**", None: "not judged: the recipe has no gates"}


@dataclass(frozen=True)
class CardInputs:
    """What a card tells.

    Attributes:
        name: of the recipe.
        model_uri: of the model's version.
        model_kind: its network.
        label_kind: of the label, `binary` and so on.
        expression: what is predicted, in SQL.
        class_names: of the label's classes; empty of numbers.
        loss: words for what the network was trained by.
        dataset: its root, without secrets.
        dataset_version: number.
        build_id: of the build that wrote the version.
        ledger: what became of the rows, in words -> rows.
        splits: rows by split.
        split: how rows were assigned to splits, in words.
        verdict: of `gates.build_verdict`.
        headlines: metrics with intervals and baselines.
        confidence: of the intervals.
        metric: by which slices are ordered.
        slices: the worst first.
        strengths: of single features, the strongest first.
        columns: raw columns that the model takes, with their types.
        remarks: what has to be known of the metrics.
    """

    name: str
    model_uri: str
    model_kind: str
    label_kind: str
    expression: str
    class_names: Sequence[str]
    loss: str
    dataset: str
    dataset_version: int
    build_id: str
    ledger: Mapping[str, int]
    splits: Mapping[str, int]
    split: Sequence[str]
    verdict: Mapping[str, Any]
    headlines: Sequence[Headline]
    confidence: float
    metric: str
    slices: Sequence[SliceResult] = ()
    strengths: Sequence[FeatureStrength] = ()
    columns: Mapping[str, str] | None = None
    remarks: Sequence[str] = ()


def write_card(inputs: CardInputs) -> str:
    """Write the card as Markdown."""
    parts = [
        f"# {escape_markdown(inputs.name)}: {_write_code(inputs.model_uri)}",
        _describe_purpose(inputs),
        _describe_metrics(inputs),
        _describe_verdict(inputs.verdict),
        _describe_data(inputs),
        _describe_slices(inputs),
        _describe_limits(inputs),
        _describe_call(inputs),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def escape_markdown(text: object, most: int = 120) -> str:
    """Return a text that Markdown shows as it is, on one line."""
    line = " ".join(clean_text(shorten(text, most)).split())
    return _SPECIAL.sub(r"\\\1", line)


def _write_code(text: object, most: int = 80) -> str:
    """Return a name as code; backticks and bars, which would end it, are replaced."""
    line = " ".join(clean_text(shorten(text, most)).split())
    return f"`{line.replace('`', 'ʼ').replace('|', '¦') or ' '}`"


def _describe_purpose(inputs: CardInputs) -> str:
    names = [escape_markdown(name, 60) for name in inputs.class_names[:6]]
    more = len(inputs.class_names) - len(names)
    classes = f" Classes: {', '.join(names)}{f' and {more:,} more' if more > 0 else ''}."
    return (
        "## Purpose\n\n"
        f"Predicts {_write_code(inputs.expression, 200)} ({inputs.label_kind}) for rows of the "
        f"recipe {escape_markdown(inputs.name)}, with a network of kind {inputs.model_kind} that "
        f"was trained by {escape_markdown(inputs.loss)}.{classes if names else ''}"
    )


def _describe_metrics(inputs: CardInputs) -> str:
    baselines = list(dict.fromkeys(name for h in inputs.headlines for name in h.baselines))
    share = format_share(inputs.confidence)
    head = ["metric", "better", "model", f"{share} interval", *baselines]
    lines = [
        [
            _write_code(item.name),
            describe_direction(item).removesuffix(" is better"),
            format_signed(item.value, 4),
            _format_ends(item.interval),
            *(_format_optional(item.baselines.get(name)) for name in baselines),
        ]
        for item in inputs.headlines
    ]
    if not lines:
        return ""
    text = f"On {inputs.splits.get('test', 0):,} test rows that training has not seen."
    remarks = "".join(f"\n\n{escape_markdown(remark, 600)}." for remark in inputs.remarks)
    return f"## Metrics\n\n{text}\n\n{_write_table(head, lines, 2)}{remarks}"


def _describe_verdict(verdict: Mapping[str, Any]) -> str:
    gates = verdict["gates"]
    lines = [
        f"- {'passed' if gate['passed'] else '**failed**'}: {escape_markdown(gate['text'], 300)}"
        for gate in gates[:_MOST_GATES]
    ]
    if len(gates) > _MOST_GATES:
        lines.append(f"- {len(gates) - _MOST_GATES:,} more in verdict.json")
    return (
        f"## Verdict: {_DECISIONS[verdict['passed']]}"
        + ("\n\n" if lines else "")
        + "\n".join(lines)
    )


def _describe_data(inputs: CardInputs) -> str:
    ledger = ", ".join(f"{rows:,} {escape_markdown(name, 60)}" for name, rows in
                       inputs.ledger.items() if rows)  # fmt: skip
    splits = ", ".join(f"{inputs.splits.get(split, 0):,} {split}" for split in SPLITS)
    how = " ".join(escape_markdown(line, 300) for line in inputs.split)
    return (
        "## Data\n\n"
        f"- Dataset {_write_code(inputs.dataset, 200)}, version {inputs.dataset_version}, build "
        f"{_write_code(inputs.build_id)}\n"
        f"- Ledger: {ledger}\n"
        f"- Splits: {splits} rows; {how}"
    )


def _describe_slices(inputs: CardInputs) -> str:
    shown = [r for r in inputs.slices if not r.is_small and inputs.metric in r.metrics]
    if not shown:
        return ""
    head = ["slice", "rows", inputs.metric, f"{format_share(inputs.confidence)} interval"]
    lines = []
    for result in shown[:_MOST_SLICES]:
        interval = result.intervals.get(inputs.metric)
        ends = (interval.low, interval.high) if interval else None
        value = format_signed(result.metrics[inputs.metric], 4)
        lines.append(
            [escape_markdown(result.value, 60), f"{result.rows:,}", value, _format_ends(ends)]
        )
    left = len(inputs.slices) - len(lines)
    more = f"\n\n{left:,} more slices are in slices.json." if left else ""
    return f"## Slices, the worst first\n\n{_write_table(head, lines, 1)}{more}"


def _describe_limits(inputs: CardInputs) -> str:
    limits = [
        "Metrics are of rows like those of the test split; of other times, places or people they "
        "may be worse.",
        "Intervals are bootstrapped over rows: where rows belong together they are too narrow.",
    ]
    small = sum(result.is_small for result in inputs.slices)
    if not inputs.slices:
        limits.append("No slices were measured: nothing is known of groups of rows.")
    elif small:
        limits.append(f"{small:,} slices have too few rows for their metrics to say much.")
    limits += [
        f"{_write_code(item.feature)} alone predicts the label suspiciously well "
        f"({format_number(item.strength, 3)}): it may be a copy of it."
        for item in inputs.strengths
        if item.is_suspicious
    ]
    limits += [
        f"The gate failed: {escape_markdown(gate['text'], 300)}."
        for gate in inputs.verdict["gates"]
        if not gate["passed"]
    ]
    if not any(item.baselines for item in inputs.headlines):
        limits.append("It was compared with no baseline.")
    left = len(limits) - _MOST_LIMITS
    shown = [*limits[:_MOST_LIMITS], *([f"{left:,} more in verdict.json."] if left > 0 else [])]
    return "## Limits\n\n" + "\n".join(f"- {limit}" for limit in shown)


def _describe_call(inputs: CardInputs) -> str:
    columns = inputs.columns or {}
    names = [f"{_write_code(n, 60)} ({kind})" for n, kind in list(columns.items())[:_MOST_COLUMNS]]
    left = len(columns) - len(names)
    more = f" and {left:,} more" if left > 0 else ""
    takes = f"It takes raw rows with {', '.join(names)}{more}.\n\n" if names else ""
    # A name of a registered model may not hold quotes or line breaks; the text is code here.
    uri = inputs.model_uri.replace('"', "").replace("\n", " ")
    return (
        f"## How to call it\n\n{takes}"
        "```python\nimport mlflow\n\n"
        f'model = mlflow.pyfunc.load_model("{uri}")\n'
        "predictions = model.predict(rows)  # a pandas frame of these columns\n```\n\n"
        f"Of a whole table: `headrace score RECIPE --model {uri}`."
    )


def _write_table(head: Sequence[str], lines: Sequence[Sequence[str]], numbers_from: int) -> str:
    """Return a table; columns from a position on are of numbers, and aligned to the right."""
    marks = ["---" if n < numbers_from else "---:" for n in range(len(head))]
    rows = [[escape_markdown(name, 60) for name in head], marks, *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _format_ends(ends: tuple[float, float] | None) -> str:
    return "" if ends is None else f"{format_signed(ends[0], 4)} to {format_signed(ends[1], 4)}"


def _format_optional(value: float | None) -> str:
    return "" if value is None else format_signed(value, 4)
