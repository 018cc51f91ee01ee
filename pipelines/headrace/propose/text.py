"""Render a proposal as the recipe's text: every section, with the reasons for it as comments."""

import shlex
from collections.abc import Callable, Iterable
from pathlib import Path

from headrace.number_text import format_share
from headrace.propose.comments import (
    comment_out,
    render_comment,
    render_entry,
    render_reasons,
)
from headrace.propose.label import LabelProposal
from headrace.propose.names import derive_recipe_name
from headrace.propose.proposal import Proposal
from headrace.propose.roles import Role
from headrace.propose.sizes import build_model_section, build_train_section, propose_gate
from headrace.propose.yaml_text import describe_value, render_flow, render_key, render_scalar
from headrace.redaction import redact_text

_MAX_SUSPICIOUS = 10
# Names that predictions have.
_PREDICTED = ("prediction", "probability", "model_version", "scored_at")

CHOOSE_LABEL = "${CHOOSE_THE_LABEL}"
"""A variable in place of the label, until one is chosen; a recipe that has it is refused."""


def render_recipe(proposal: Proposal, *, name: str, out: str, workdir: str) -> str:
    """Return the recipe as YAML.

    Args:
        proposal: all that the recipe states.
        name: the recipe's name.
        out: the file that it will be written to, for the command in its first lines.
        workdir: a table below it is named with `${workdir}`.
    """
    sections: list[Callable[[], list[str]]] = [
        lambda: _render_header(proposal, out, workdir),
        lambda: [f"name: {render_scalar(name)}"],
        lambda: _render_source(proposal, workdir),
        lambda: _render_clean(proposal),
        lambda: _render_label(proposal),
        lambda: _render_split(proposal),
        lambda: _render_unavailable(proposal),
        lambda: _render_derive(proposal),
        lambda: _render_features(proposal),
        lambda: ["dataset:", f"  path: ${{workdir}}/datasets/{name}"],
        lambda: _render_training(proposal),
        lambda: _render_evaluate(proposal),
        lambda: _render_score(proposal, out, workdir),
        _render_schedule,
        lambda: _render_spark(proposal),
    ]
    blocks = [section() for section in sections]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def build_table_path(path: str, workdir: str) -> str:
    """Return the path for the recipe: with `${workdir}` where it is below it, else unchanged."""
    if "://" in path:
        return path
    table, base = Path(path).absolute(), Path(workdir).absolute()
    return f"${{workdir}}/{table.relative_to(base)}" if table.is_relative_to(base) else path


def build_run_command(out: str, workdir: str) -> str:
    """Return the command that runs the recipe."""
    option = f" --workdir {shlex.quote(workdir)}" if workdir != "var" else ""
    return f"headrace run {shlex.quote(out)}{option}"


def _render_header(proposal: Proposal, out: str, workdir: str) -> list[str]:
    sample, label = proposal.sample, proposal.label
    about = "" if sample.is_counted else "about "
    rows = (
        f"all {sample.rows:,} rows"
        if sample.is_whole
        else f"{sample.rows:,} of {about}{sample.table_rows:,} rows"
    )
    table = redact_text(sample.path)
    goal = f"{label.column} of {table}" if label else f"A first recipe for {table}"
    lines = [
        *render_comment(f"{goal}, proposed by `headrace init`."),
        "#",
        *render_comment(f"  {build_run_command(out, workdir)}", wrap=False),
        "#",
        *render_comment(
            f"It is based on {rows}, from {sample.opened_files:,} of {sample.total_files:,} files; "
            "the figures are of these rows. It is a start for you to read and change: no sample "
            "tells what is known at the time of prediction, which rows are wrong and what is worth "
            "predicting."
        ),
    ]
    for note in sample.notes:
        lines += render_comment(note + ".")
    return lines


def _render_source(proposal: Proposal, workdir: str) -> list[str]:
    sample = proposal.sample
    name = derive_recipe_name(sample.path)
    path = build_table_path(sample.path, workdir)
    relative = "://" not in path and not path.startswith(("/", "${"))
    lines = ["source:", "  tables:", f"    {render_scalar(name)}:"]
    lines += render_entry(
        f"path: {render_scalar(path)}", "from the working directory" if relative else "", 6
    )
    if sample.format != "parquet":
        lines.append(f"      format: {sample.format}")
    if sample.reader_options:
        lines.append(f"      options: {render_flow(sample.reader_options)}")
    declared = [c for c in sample.columns.values() if c.declared_type]
    if declared:
        lines.append("      columns: # types of texts; values that do not cast go to quarantine")
    for column in declared:
        reason = ""
        if column.uncastable_count:
            example = describe_value(column.uncastable_example)
            rows = sample.describe_rows(column.uncastable_count)
            reason = f"{rows} do not cast, for example {example}"
        reason = "; ".join(part for part in (reason, column.remark) if part)
        lines += render_entry(
            f"{render_scalar(column.name)}: {render_flow(column.declared_type)}", reason, 8
        )
    return [*lines, f"  main: {render_scalar(name)}"]


def _render_clean(proposal: Proposal) -> list[str]:
    clean = proposal.cleaning
    dedup = f"dedup: {render_flow({'key': list(clean.dedup_key)})}"
    if clean.dedup_key and not proposal.key.is_certain:
        suggestions = render_comment(clean.dedup_reason, 2)
        suggestions.append(f"  # {dedup}")
        lines = []
    else:
        suggestions = []
        lines = render_entry(dedup, clean.dedup_reason, 2) if clean.dedup_key else []
    if clean.rules:
        lines += ["  rules:"]
        lines += [
            line
            for rule in clean.rules
            for line in render_entry(f"- {render_flow(rule.rule)}", rule.reason, 4)
        ]
    if lines:
        return ["clean:", *suggestions, *lines]
    if not suggestions:
        return []
    return ["# clean:", *(line.replace("  # ", "#   ", 1) for line in suggestions)]


def _render_label(proposal: Proposal) -> list[str]:
    label = proposal.label
    if label is None:
        return [
            *render_comment(
                "The one edit to make: replace the next line by one of those below it, or by one "
                "of your own. `headrace init … --label COLUMN` does it for you, and looks for "
                "columns that leak the label as well."
            ),
            f"label: {render_flow({'expression': CHOOSE_LABEL})}",
            *(line for choice in proposal.choices for line in _render_choice(choice)),
        ]
    lines = [*render_reasons(label.reasons), "label:"]
    lines += [f"  {key}: {render_flow(value)}" for key, value in label.section.items()]
    missing = int(label.missing_mask.sum())
    if missing:
        lines += render_comment(f"null in {proposal.sample.describe_rows(missing)}: filtered", 2)
    return lines


def _render_choice(label: LabelProposal) -> list[str]:
    return [*render_comment(label.reasons[0]), f"# label: {render_flow(label.section)}"]


def _render_split(proposal: Proposal) -> list[str]:
    lines = [*render_reasons(proposal.split.reasons), "split:"]
    for key, value in proposal.split.section.items():
        lines += render_key(key, value, 2)
    return lines


def _render_unavailable(proposal: Proposal) -> list[str]:
    lines = []
    if proposal.suspicious:
        lines += render_comment(
            "Columns that may be known only when the label is. The sample has a sign of it, as "
            "good features have, too: they are features, until you move them to `unavailable`."
        )
        shown = list(proposal.suspicious.items())[:_MAX_SUSPICIOUS]
        for name, reason in shown:
            lines += render_comment(f"  {describe_value(name)[1:-1]}: {reason}")
        if len(shown) < len(proposal.suspicious):
            more = len(proposal.suspicious) - len(shown)
            lines += render_comment(f"  and {more} more")
    if not proposal.unavailable:
        return lines
    lines += render_comment(
        "Columns that are the label once more, or known with it; features that read them are "
        "refused. If one is known at the time of prediction, remove its line here and add it to "
        "the features."
    )
    lines.append("unavailable:")
    for name, reason in proposal.unavailable.items():
        lines += render_entry(f"- {render_scalar(name)}", reason, 2)
    return lines


def _render_derive(proposal: Proposal) -> list[str]:
    candidates = _render_entries(proposal.candidate_roles, "derive")
    lines = _render_entries(proposal.roles, "derive")
    if lines:
        return ["derive:", *lines, *comment_out(candidates)]
    return ["# derive:", *(f"# {line}" for line in candidates)] if candidates else []


def _render_features(proposal: Proposal) -> list[str]:
    lines = []
    if proposal.strongest_features:
        strengths = ", ".join(
            f"{name} {format_share(strength)}"
            for name, strength in proposal.strongest_features.items()
        )
        lines += render_comment(
            f"The single features that explain most of the label by themselves: {strengths}."
        )
    lines += ["features:", *_render_entries(proposal.roles, "features")]
    candidates = _render_entries(proposal.candidate_roles, "features")
    if candidates:
        comment = "candidates for the label: those that are not chosen can be features:"
        lines += [*render_comment(comment, 2), *comment_out(candidates)]
    roles = (*proposal.roles, *proposal.candidate_roles)
    reasons = {role.column: role.exclusion_reason for role in roles}
    reasons |= dict(proposal.sample.unusable)
    left_out = {name: reason for name, reason in reasons.items() if reason}
    if left_out:
        lines += render_comment("left out:", 2)
    for name, reason in left_out.items():
        lines += render_comment(f"  {describe_value(name)[1:-1]}: {reason}", 2)
    return lines


def _render_entries(roles: Iterable[Role], part: str) -> list[str]:
    return [
        line
        for role in roles
        for entry in getattr(role, part)
        for line in render_entry(
            f"{render_scalar(entry.name)}: {render_flow(entry.settings)}", entry.reason, 2
        )
    ]


def _render_training(proposal: Proposal) -> list[str]:
    rows = proposal.train_rows
    has_image = any(
        entry.settings["kind"] == "image" for role in proposal.roles for entry in role.features
    )
    lines = render_comment(f"Sizes for about {rows:,} train rows.")
    for name, section in (
        ("model", build_model_section(rows, has_image=has_image)),
        ("train", build_train_section(rows, has_image=has_image)),
    ):
        lines += [
            f"{name}:",
            *(f"  {key}: {render_flow(value)}" for key, value in section.items()),
            "",
        ]
    return lines[:-1]


def _render_evaluate(proposal: Proposal) -> list[str]:
    kind = proposal.label.kind if proposal.label else "binary"
    threshold = ["  threshold: {choose: max_f1} # on the validation split"]
    examples = [
        *(threshold if kind == "binary" else []),
        "  gates: # what a model must reach to be promoted; first see what one reaches",
        f"    - {render_flow(propose_gate(kind))}",
    ]
    if not proposal.strong_features:
        return ["# evaluate:", *(f"# {line}" for line in examples)]
    strengths = ", ".join(
        f"{name} {format_share(strength)}" for name, strength in proposal.strong_features.items()
    )
    return [
        "evaluate:",
        *render_comment(
            f"Features that explain much of the label by themselves (in the sample: {strengths}); "
            "on few test rows that may look like all of it. A column that is not known at the time "
            "of prediction belongs under `unavailable` instead.",
            2,
        ),
        f"  leakage: {render_flow({'allow': list(proposal.strong_features)})}",
        *(f"  # {line[2:]}" for line in examples),
    ]


def _render_score(proposal: Proposal, out: str, workdir: str) -> list[str]:
    sample, key = proposal.sample, proposal.key
    table = shlex.quote(redact_text(sample.path))
    target = shlex.quote(f"{workdir}/scores")
    command = f"headrace score {shlex.quote(out)} --input {table} --output {target}"
    lines = render_comment(command, wrap=False)
    if proposal.cleaning.dedup_key and key.is_certain:
        return [*lines, "# score:", "#   columns: [] # further raw columns beside the predictions"]
    columns = list(key.columns)
    if columns:
        lines += render_comment("The columns that tell which row a prediction belongs to.")
    else:
        columns = list_raw_columns(proposal)
        lines += render_comment(
            "No column is a key, so predictions carry the raw columns, all that are single values "
            "and known at the time of prediction."
        )
    return [*lines, "score:", *render_key("key", columns, 2)]


def list_raw_columns(proposal: Proposal) -> list[str]:
    """Return the columns that are known of new rows, and can lie beside predictions."""
    sample = proposal.sample
    labels = [proposal.label] if proposal.label else proposal.choices
    late = {*proposal.unavailable, *(label.column for label in labels)}
    known = [
        column
        for column in sample.columns.values()
        if column.name not in late and not column.name.lower().startswith(_PREDICTED)
    ]
    single = [column.name for column in known if not column.type.value.startswith("list")]
    return single or [column.name for column in known] or list(sample.images)


def _render_schedule() -> list[str]:
    return [
        "# To run it on a schedule (deploy/airflow):",
        "# schedule:",
        '#   cron: "@daily"',
        "#   start: 2026-01-01",
    ]


def _render_spark(proposal: Proposal) -> list[str]:
    if not proposal.sample.spark_conf:
        return []
    return [
        "spark:",
        f"  conf: {render_flow(proposal.sample.spark_conf)} # times in nanoseconds, see above",
    ]
