"""The recipe's text: every section with the reasons for it, from a proposal."""

import shlex
import textwrap
from collections.abc import Callable, Iterable
from pathlib import Path

from headrace.propose.label import LabelProposal
from headrace.propose.names import recipe_name
from headrace.propose.proposal import Proposal
from headrace.propose.roles import Role
from headrace.propose.sizes import gate, model_section, train_section
from headrace.propose.yaml_text import flow, printable, scalar, shown
from headrace.redaction import redact_text

CHOOSE = "${CHOOSE_THE_LABEL}"
"""Stands where the label is to be written; a recipe with it is refused."""
_WIDTH = 100


def recipe_text(proposal: Proposal, *, name: str, out: str, workdir: str) -> str:
    """The recipe as YAML.

    Args:
        proposal: what it says.
        name: of the recipe.
        out: the file it is going to be, for the command in its first lines.
        workdir: a table below it is named with `${workdir}`.
    """
    sections: list[Callable[[], list[str]]] = [
        lambda: _head(proposal, out, workdir),
        lambda: [f"name: {scalar(name)}"],
        lambda: _source(proposal, workdir),
        lambda: _clean(proposal),
        lambda: _label(proposal),
        lambda: _split(proposal),
        lambda: _unavailable(proposal),
        lambda: _derive(proposal),
        lambda: _features(proposal),
        lambda: ["dataset:", f"  path: ${{workdir}}/datasets/{name}"],
        lambda: _training(proposal),
        lambda: _judging(proposal),
        lambda: _score(proposal, out, workdir),
        _schedule,
        lambda: _spark(proposal),
    ]
    blocks = [section() for section in sections]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def table_path(path: str, workdir: str) -> str:
    """The path as the recipe has it: below the workdir where it is there, else as it was given."""
    if "://" in path:
        return path
    here, base = Path(path).absolute(), Path(workdir).absolute()
    return f"${{workdir}}/{here.relative_to(base)}" if here.is_relative_to(base) else path


def run_command(out: str, workdir: str) -> str:
    """The command that runs the recipe."""
    where = f" --workdir {shlex.quote(workdir)}" if workdir != "var" else ""
    return f"headrace run {shlex.quote(out)}{where}"


def _head(proposal: Proposal, out: str, workdir: str) -> list[str]:
    sample, label = proposal.sample, proposal.label
    about = "" if sample.counted else "about "
    read = (
        f"all {sample.rows:,} rows"
        if sample.whole
        else f"{sample.rows:,} of {about}{sample.table_rows:,} rows"
    )
    table = redact_text(sample.path)
    goal = f"{label.column} of {table}" if label else f"A first recipe for {table}"
    lines = [
        *_comments(f"{goal}, proposed by `headrace init`."),
        "#",
        *_comments(f"  {run_command(out, workdir)}", wrap=False),
        "#",
        *_comments(
            f"It rests on {read}, from {sample.files:,} of {sample.all_files:,} files; the figures "
            "are of these rows. A start to be read and changed: what is known when a prediction "
            "is made, which rows are wrong and what is worth predicting, no sample says."
        ),
    ]
    for note in sample.notes:
        lines += _comments(note + ".")
    return lines


def _source(proposal: Proposal, workdir: str) -> list[str]:
    sample = proposal.sample
    name = recipe_name(sample.path)
    path = table_path(sample.path, workdir)
    relative = "://" not in path and not path.startswith(("/", "${"))
    lines = ["source:", "  tables:", f"    {scalar(name)}:"]
    lines += _entry(f"path: {scalar(path)}", "from the working directory" if relative else "", 6)
    if sample.format != "parquet":
        lines.append(f"      format: {sample.format}")
    if sample.options:
        lines.append(f"      options: {flow(sample.options)}")
    declared = [c for c in sample.columns.values() if c.declared]
    if declared:
        lines.append("      columns: # what the texts say; what does not cast goes to quarantine")
    for column in declared:
        why = ""
        if column.bad:
            example = shown(column.example)
            why = f"{sample.of_rows(column.bad)} do not cast, for example {example}"
        lines += _entry(f"{scalar(column.name)}: {flow(column.declared)}", why, 8)
    return [*lines, f"  main: {scalar(name)}"]


def _clean(proposal: Proposal) -> list[str]:
    clean = proposal.clean
    dedup = f"dedup: {flow({'key': list(clean.dedup)})}"
    if clean.dedup and not proposal.key.certain:
        maybe = _comments(clean.dedup_why, 2)
        maybe.append(f"  # {dedup}")
        sure = []
    else:
        maybe, sure = [], _entry(dedup, clean.dedup_why, 2) if clean.dedup else []
    if clean.rules:
        sure += ["  rules:"]
        sure += [x for rule in clean.rules for x in _entry(f"- {flow(rule.rule)}", rule.why, 4)]
    if sure:
        return ["clean:", *maybe, *sure]
    return ["# clean:", *(line.replace("  # ", "#   ", 1) for line in maybe)] if maybe else []


def _label(proposal: Proposal) -> list[str]:
    label = proposal.label
    if label is None:
        return [
            *_comments(
                "The one edit: replace the next line by one of those below it, or by one of your "
                "own. `headrace init … --label COLUMN` does it, and looks for columns that give "
                "the label away as well."
            ),
            f"label: {flow({'expression': CHOOSE})}",
            *(line for choice in proposal.choices for line in _choice(choice)),
        ]
    lines = [*_reasons(label.why), "label:"]
    lines += [f"  {key}: {flow(value)}" for key, value in label.section.items()]
    missing = int(label.missing.sum())
    if missing:
        lines += _comments(f"null in {proposal.sample.of_rows(missing)}: filtered", 2)
    return lines


def _choice(label: LabelProposal) -> list[str]:
    return [*_comments(label.why[0]), f"# label: {flow(label.section)}"]


def _split(proposal: Proposal) -> list[str]:
    lines = [*_reasons(proposal.split.why), "split:"]
    return lines + [f"  {key}: {flow(value)}" for key, value in proposal.split.section.items()]


def _unavailable(proposal: Proposal) -> list[str]:
    if not proposal.unavailable:
        return []
    lines = _comments(
        "Probably known only when the label is: a feature that reads one is refused. Remove the "
        "line of a column that is known at the moment of prediction, and add it to the features."
    )
    lines.append("unavailable:")
    for name, why in proposal.unavailable.items():
        lines += _entry(f"- {scalar(name)}", why, 2)
    return lines


def _derive(proposal: Proposal) -> list[str]:
    spare = _lines_of(proposal.spare, "derive")
    lines = _lines_of(proposal.roles, "derive")
    if lines:
        return ["derive:", *lines, *_out(spare)]
    return ["# derive:", *(f"# {line}" for line in spare)] if spare else []


def _features(proposal: Proposal) -> list[str]:
    lines = []
    if proposal.strongest:
        said = ", ".join(f"{name} {strength:.0%}" for name, strength in proposal.strongest.items())
        lines += _comments(f"What single features say of the label by themselves, at most: {said}.")
    lines += ["features:", *_lines_of(proposal.roles, "features")]
    spare = _lines_of(proposal.spare, "features")
    if spare:
        lines += [*_comments("of those that may be the label, the others are features:", 2)]
        lines += _out(spare)
    left = {role.column: role.left_out for role in (*proposal.roles, *proposal.spare)}
    left = {name: why for name, why in (left | dict(proposal.sample.unusable)).items() if why}
    if left:
        lines += _comments("left out:", 2)
    for name, why in left.items():
        lines += _comments(f"  {shown(name)[1:-1]}: {why}", 2)
    return lines


def _lines_of(roles: Iterable[Role], part: str) -> list[str]:
    return [
        line
        for role in roles
        for one in getattr(role, part)
        for line in _entry(f"{scalar(one.name)}: {flow(one.settings)}", one.why, 2)
    ]


def _training(proposal: Proposal) -> list[str]:
    rows = proposal.train_rows
    lines = _comments(f"Sizes for about {rows:,} train rows.")
    for name, section in (("model", model_section(rows)), ("train", train_section(rows))):
        lines += [f"{name}:", *(f"  {key}: {flow(value)}" for key, value in section.items()), ""]
    return lines[:-1]


def _judging(proposal: Proposal) -> list[str]:
    kind = proposal.label.kind if proposal.label else "binary"
    threshold = ["  threshold: {choose: max_f1} # on the validation split"]
    examples = [
        *(threshold if kind == "binary" else []),
        "  gates: # what a model has to reach to be promoted; see first what one does",
        f"    - {flow(gate(kind))}",
    ]
    if not proposal.strong:
        return ["# evaluate:", *(f"# {line}" for line in examples)]
    said = ", ".join(f"{name} {share:.0%}" for name, share in proposal.strong.items())
    return [
        "evaluate:",
        *_comments(
            f"Of the label these say much by themselves, in the sample {said}; on few test rows "
            "that may look like all. What is not known at the moment of prediction belongs under "
            "`unavailable` instead.",
            2,
        ),
        f"  leakage: {flow({'allow': list(proposal.strong)})}",
        *(f"  # {line[2:]}" for line in examples),
    ]


def _score(proposal: Proposal, out: str, workdir: str) -> list[str]:
    sample, key = proposal.sample, proposal.key
    table = shlex.quote(redact_text(sample.path))
    target = shlex.quote(f"{workdir}/scores")
    command = f"headrace score {shlex.quote(out)} --input {table} --output {target}"
    lines = _comments(command, wrap=False)
    if proposal.clean.dedup and key.certain:
        return [*lines, "# score:", "#   columns: [] # further raw columns beside the predictions"]
    lines += _comments("The columns that say which row a prediction is of.")
    return [*lines, "score:", f"  key: {flow(list(key.columns))}"]


def _schedule() -> list[str]:
    return [
        "# When it runs by itself (deploy/airflow):",
        "# schedule:",
        '#   cron: "@daily"',
        "#   start: 2026-01-01",
    ]


def _spark(proposal: Proposal) -> list[str]:
    if not proposal.sample.spark:
        return []
    return ["spark:", f"  conf: {flow(proposal.sample.spark)} # times in nanoseconds, see above"]


def _entry(text: str, why: str, indent: int) -> list[str]:
    """A line with the reason behind it, or above it where both are too long for one line."""
    line = " " * indent + text
    if not why:
        return [line]
    whole = f"{line} # {printable(why)}"
    return [whole] if len(whole) <= _WIDTH else [*_comments(why, indent), line]


def _reasons(why: Iterable[str]) -> list[str]:
    return [line for reason in why for line in _comments(reason)]


def _comments(text: str, indent: int = 0, *, wrap: bool = True) -> list[str]:
    begin = " " * indent + "# "
    clean = printable(text)
    if not wrap:
        return [begin + clean]
    own = " " * (len(clean) - len(clean.lstrip()))
    return textwrap.wrap(
        clean.lstrip(), _WIDTH, initial_indent=begin + own, subsequent_indent=begin + own,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def _out(lines: Iterable[str]) -> list[str]:
    """Lines of a section as comments."""
    return [f"  # {line.strip()}" if not line.strip().startswith("#") else line for line in lines]
