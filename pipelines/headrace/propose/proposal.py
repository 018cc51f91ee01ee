"""From a sample and a label to all that a recipe is to say: who decides what, in which order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from headrace.errors import LakeError
from headrace.propose.cleaning import CleanProposal, propose_cleaning
from headrace.propose.columns import Column
from headrace.propose.keys import RowKey, row_key
from headrace.propose.label import LabelProposal, label_column, likely_labels, propose_label
from headrace.propose.leaks import LIMIT, differences, null_together, says_alone
from headrace.propose.names import Names
from headrace.propose.roles import Role, hashed, role_of
from headrace.propose.sample import Sample
from headrace.propose.split import SplitProposal, propose_split
from headrace.propose.yaml_text import printable
from headrace.redaction import redact_text
from headrace.schema import ColumnType

# Share of later rows with values that no earlier row has, from which on a column tells of the time
# and of nothing else.
_UNSEEN = 0.5
_STRONGEST, _MOST_TOLD = 3, 8
# Share of the label from which on a feature may look like a leak on test rows that are few: 0.87 of
# 1,458 airports' time zones were 0.97 of 151.
_STRONG = 0.7


@dataclass(frozen=True)
class Proposal:
    """All that a recipe is to say.

    Attributes:
        sample: what it rests on.
        label: None where none was asked for; `choices` are likely ones then, the best first.
        split, clean: see there.
        roles: of the columns that features are made of, and of those that are left out.
        spare: roles of the columns that may become the label.
        unavailable: column -> why it is probably known too late.
        strongest: the features that say most of the label by themselves, and how much.
        strong: those of all features that say so much that evaluation may take them for leaks.
        train_rows: rows that there are about to train on.
        key: tells rows apart.
    """

    sample: Sample
    label: LabelProposal | None
    choices: tuple[LabelProposal, ...]
    split: SplitProposal
    clean: CleanProposal
    roles: tuple[Role, ...]
    spare: tuple[Role, ...]
    unavailable: Mapping[str, str]
    strongest: Mapping[str, float]
    strong: Mapping[str, float]
    train_rows: int
    key: RowKey


def propose(sample: Sample, label: str | None) -> Proposal:
    """Propose a recipe.

    Args:
        sample: of the table.
        label: the column that is predicted; None where it is to be chosen later.

    Raises:
        OptionError: there is no such column, or nothing can be predicted of it.
        LakeError: there is nothing to learn from.
    """
    if label is None:
        return _to_be_chosen(sample)
    columns = sample.columns
    found = propose_label(label_column(label, columns, sample.unusable))
    if len(columns) == 1:
        raise LakeError(f"no column is left to predict {label} from: there is no other")
    key = row_key(sample, label)
    split = propose_split(sample, found, key)
    names = Names(columns)
    unavailable, roles, strengths = _without_leaks(
        columns, _roles(sample, split, key, names, label), found
    )
    if not any(role.features for role in roles):
        roles = _anything(columns, roles, unavailable, label, names)
    used = {line.name for role in roles for line in role.features}
    best = sorted((n for n in strengths if n in used), key=lambda name: -strengths[name])
    return Proposal(
        sample=sample,
        label=found,
        choices=(),
        split=split,
        clean=propose_cleaning(sample, found, key),
        roles=tuple(roles),
        spare=(),
        unavailable=unavailable,
        strongest={name: strengths[name] for name in best[:_STRONGEST]},
        strong={name: strengths[name] for name in best if strengths[name] >= _STRONG},
        train_rows=round(_train_rows(sample, split) * (1 - float(found.missing.mean()))),
        key=key,
    )


def _to_be_chosen(sample: Sample) -> Proposal:
    """With likely labels; their columns are spare, as one of them will be no feature."""
    choices = likely_labels(sample.columns.values()) if len(sample.columns) > 1 else []
    key = row_key(sample, None)
    split = propose_split(sample, None, key)
    roles = {r.column: r for r in _roles(sample, split, key, Names(sample.columns), None)}
    while choices:
        spare = [roles[choice.column] for choice in choices]
        others = [role for role in roles.values() if role not in spare]
        if any(role.features for role in others):
            break
        choices.pop()
    else:
        raise LakeError(
            f"{redact_text(sample.path)} has no column that could be predicted from another one: "
            "labels are numbers, conditions and classes with more than one value"
        )
    return Proposal(
        sample=sample,
        label=None,
        choices=tuple(choices),
        split=split,
        clean=propose_cleaning(sample, None, key),
        roles=tuple(others),
        spare=tuple(spare),
        unavailable={},
        strongest={},
        strong={},
        train_rows=round(_train_rows(sample, split)),
        key=key,
    )


def _roles(
    sample: Sample, split: SplitProposal, key: RowKey, names: Names, label: str | None
) -> list[Role]:
    found = []
    for name, column in sample.columns.items():
        if name != label:
            role = role_of(column, names, sample.table_rows, splits=name == split.time)
            found.append(_for_split(role, column, split, key))
    return found


def _train_rows(sample: Sample, split: SplitProposal) -> float:
    share = 0.8 if split.time else split.section["fractions"]["train"]
    return sample.table_rows * share


def _for_split(role: Role, column: Column, split: SplitProposal, key: RowKey) -> Role:
    """The role without what has other values in the rows that the model is judged on."""
    if not role.features:
        return role
    if split.key == (role.column,) != key.columns:
        why = "rows are split by it: its values in validation and test are none of those in train"
        return Role(role.column, left_out=why)
    share = _new_later(role, column, split)
    if share <= _UNSEEN:
        return role
    why = f"{share:.0%} of its values after the split's first date are none that came before"
    if not role.derive:
        return Role(role.column, left_out=why)
    late = [line.name for line in role.derive if line.settings["kind"] == "seconds_since"]
    return role.without(late, why) if late else role


def _new_later(role: Role, column: Column, split: SplitProposal) -> float:
    """Share of the later rows' values that earlier rows do not have, or that lie beyond them."""
    kinds = {line.settings["kind"] for line in role.features}
    if split.later is None or kinds & {"text", "series", "multi_valued"}:
        return 0.0
    there = ~column.missing
    later, before = there & split.later, there & ~split.later
    if not later.any() or not before.any():
        return 0.0
    if column.type is not ColumnType.TIMESTAMP and kinds & {"vocabulary", "hash"}:
        codes = np.asarray(column.values.dictionary_encode().indices.fill_null(-1))
        return float(np.mean(~np.isin(codes[later], np.unique(codes[before]))))
    numbers = column.numbers
    low, high = np.min(numbers[before]), np.max(numbers[before])
    return float(np.mean((numbers[later] < low) | (numbers[later] > high)))


def _without_leaks(
    columns: Mapping[str, Column], roles: Sequence[Role], label: LabelProposal
) -> tuple[dict[str, str], list[Role], dict[str, float]]:
    """Columns that are probably known too late, what is left of the roles, and strengths."""
    tried = [columns[role.column] for role in roles if role.features]
    unavailable = null_together(tried, label)
    strengths = says_alone(columns, [r for r in roles if r.column not in unavailable], label)
    kept: list[Role] = []
    for role in roles:
        strong = [n for line in role.features if strengths.get(n := line.name, 0) >= LIMIT]
        if strong and not role.derive:
            unavailable[role.column] = (
                f"says {strengths[strong[0]]:.0%} of {label.column} by itself in the sample"
            )
        said = ", ".join(f"{name} says {strengths[name]:.0%}" for name in strong)
        why = f"{said} of {label.column} by itself in the sample"
        kept.append(role.without(strong, why) if strong else role)
    left = [columns[r.column] for r in kept if r.features and r.column not in unavailable]
    unavailable |= differences(left, label)
    return unavailable, [role for role in kept if role.column not in unavailable], strengths


def _anything(
    columns: Mapping[str, Column],
    roles: Sequence[Role],
    unavailable: Mapping[str, str],
    label: str,
    names: Names,
) -> list[Role]:
    """Where no column is good for a feature: ids of texts and whole numbers after all."""
    hashable = (ColumnType.STRING, ColumnType.INTEGER)
    why = "nothing else is left to learn from"
    found = [
        hashed(columns[role.column], names, f"{why}; {role.left_out}")
        if columns[role.column].type in hashable and columns[role.column].distinct > 1
        else role
        for role in roles
    ]
    if any(role.features for role in found):
        return found
    reasons = {role.column: role.left_out for role in roles} | dict(unavailable)
    told = [f"{printable(name)} ({why})" for name, why in list(reasons.items())[:_MOST_TOLD]]
    more = len(reasons) - len(told)
    what = ", ".join(told) + (f" and {more} more" if more else "")
    raise LakeError(f"no column is left to predict {label} from: {what}")
