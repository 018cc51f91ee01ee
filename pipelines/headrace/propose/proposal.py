"""Propose all that a recipe states, from a sample and a label: key, split, roles, leaks, cleaning.

The modules of this package decide each of them; here is their order, and what one decision takes
from another.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from headrace.errors import LakeError
from headrace.propose.cleaning import CleanProposal, propose_cleaning
from headrace.propose.columns import Column
from headrace.propose.keys import RowKey, find_row_key
from headrace.propose.label import (
    LabelProposal,
    propose_label,
)
from headrace.propose.label_choice import get_label_column, list_likely_labels
from headrace.propose.leaks import (
    LEAK_STRENGTH,
    find_differences,
    find_null_together,
    measure_strengths,
)
from headrace.propose.names import FeatureNames
from headrace.propose.roles import Role, assign_role, propose_hash
from headrace.propose.sample import Sample
from headrace.propose.split import SplitProposal, propose_split
from headrace.propose.yaml_text import make_printable
from headrace.redaction import redact_text
from headrace.schema import ColumnType

# Share of later rows with values that no earlier row has, from which on a column tells of the time
# and of nothing else.
_MAX_UNSEEN_SHARE = 0.5
_MAX_STRONGEST, _MAX_REASONS = 3, 8
# Strength from which on a feature may look like a leak where test rows are few: 0.87 of 1,458
# airports' time zones were 0.97 of 151.
_MIN_STRENGTH = 0.7


@dataclass(frozen=True)
class Proposal:
    """All that a recipe is to state.

    Attributes:
        sample: the sampled rows that it is based on.
        label: None where none was asked for.
        choices: likely labels where none was asked for, the best first.
        split: the split of the rows.
        cleaning: the key that drops duplicates, and the rules.
        roles: the roles of the feature columns, and of those that are left out.
        candidate_roles: the roles of the columns that may become the label.
        unavailable: column -> why it is probably known too late.
        strongest_features: the features that explain most of the label by themselves -> strength.
        strong_features: all features that explain so much that evaluation may take them for leaks.
        train_rows: about how many rows there are to train on.
        key: the columns that identify rows.
    """

    sample: Sample
    label: LabelProposal | None
    choices: tuple[LabelProposal, ...]
    split: SplitProposal
    cleaning: CleanProposal
    roles: tuple[Role, ...]
    candidate_roles: tuple[Role, ...]
    unavailable: Mapping[str, str]
    strongest_features: Mapping[str, float]
    strong_features: Mapping[str, float]
    train_rows: int
    key: RowKey


def propose_recipe(sample: Sample, label: str | None) -> Proposal:
    """Propose a recipe.

    Args:
        sample: the sampled rows of the table.
        label: the column to predict; None where it is to be chosen later.

    Raises:
        OptionError: there is no such column, or it cannot be predicted.
        LakeError: there is nothing to learn from.
    """
    if label is None:
        return _propose_without_label(sample)
    columns = sample.columns
    label_proposal = propose_label(get_label_column(label, columns, sample.unusable))
    if len(columns) == 1:
        raise LakeError(f"no column is left to predict {label} from: there is no other")
    key = find_row_key(sample, label)
    split = propose_split(sample, label_proposal, key)
    names = FeatureNames(columns)
    unavailable, roles, strengths = _remove_leaks(
        columns, _assign_roles(sample, split, key, names, label), label_proposal
    )
    if not any(role.features for role in roles):
        roles = _fall_back_to_hashes(columns, roles, unavailable, label, names)
    feature_names = {entry.name for role in roles for entry in role.features}
    ranked = sorted(
        (name for name in strengths if name in feature_names), key=lambda name: -strengths[name]
    )
    labelled_share = 1 - float(label_proposal.missing_mask.mean())
    return Proposal(
        sample=sample,
        label=label_proposal,
        choices=(),
        split=split,
        cleaning=propose_cleaning(sample, label_proposal, key),
        roles=tuple(roles),
        candidate_roles=(),
        unavailable=unavailable,
        strongest_features={name: strengths[name] for name in ranked[:_MAX_STRONGEST]},
        strong_features={
            name: strengths[name] for name in ranked if strengths[name] >= _MIN_STRENGTH
        },
        train_rows=round(_estimate_train_rows(sample, split) * labelled_share),
        key=key,
    )


def _propose_without_label(sample: Sample) -> Proposal:
    """Propose a recipe with likely labels, whose columns are no features until one is chosen."""
    choices = list_likely_labels(sample.columns.values()) if len(sample.columns) > 1 else []
    key = find_row_key(sample, None)
    split = propose_split(sample, None, key)
    names = FeatureNames(sample.columns)
    roles = {role.column: role for role in _assign_roles(sample, split, key, names, None)}
    while choices:
        candidate_roles = [roles[choice.column] for choice in choices]
        other_roles = [role for role in roles.values() if role not in candidate_roles]
        if any(role.features for role in other_roles):
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
        cleaning=propose_cleaning(sample, None, key),
        roles=tuple(other_roles),
        candidate_roles=tuple(candidate_roles),
        unavailable={},
        strongest_features={},
        strong_features={},
        train_rows=round(_estimate_train_rows(sample, split)),
        key=key,
    )


def _assign_roles(
    sample: Sample, split: SplitProposal, key: RowKey, names: FeatureNames, label: str | None
) -> list[Role]:
    roles = []
    for name, column in sample.columns.items():
        if name != label:
            splits_rows = name == split.time_column
            role = assign_role(column, names, sample.table_rows, splits_rows=splits_rows)
            roles.append(_adapt_to_split(role, column, split, key))
    return roles


def _estimate_train_rows(sample: Sample, split: SplitProposal) -> float:
    share = 0.8 if split.time_column else split.section["fractions"]["train"]
    return sample.table_rows * share


def _adapt_to_split(role: Role, column: Column, split: SplitProposal, key: RowKey) -> Role:
    """Return the role without features whose values differ between train and the other splits."""
    if not role.features:
        return role
    if split.key == (role.column,) != key.columns:
        reason = "rows are split by it: its values in validation and test never occur in train"
        return Role(role.column, exclusion_reason=reason)
    share = _compute_unseen_share(role, column, split)
    if share <= _MAX_UNSEEN_SHARE:
        return role
    reason = f"{share:.0%} of its values after the split's first date do not occur before it"
    if not role.derive:
        return Role(role.column, exclusion_reason=reason)
    elapsed = [entry.name for entry in role.derive if entry.settings["kind"] == "seconds_since"]
    return role.remove_features(elapsed, reason) if elapsed else role


def _compute_unseen_share(role: Role, column: Column, split: SplitProposal) -> float:
    """Return the share of later rows with a value that no earlier row has, or that is out of the
    earlier rows' range."""
    kinds = {entry.settings["kind"] for entry in role.features}
    if split.later_mask is None or kinds & {"text", "series", "multi_valued"}:
        return 0.0
    present = ~column.missing_mask
    later, earlier = present & split.later_mask, present & ~split.later_mask
    if not later.any() or not earlier.any():
        return 0.0
    if column.type is not ColumnType.TIMESTAMP and kinds & {"vocabulary", "hash"}:
        codes = np.asarray(column.values.dictionary_encode().indices.fill_null(-1))
        return float(np.mean(~np.isin(codes[later], np.unique(codes[earlier]))))
    numbers = column.numbers
    low, high = np.min(numbers[earlier]), np.max(numbers[earlier])
    return float(np.mean((numbers[later] < low) | (numbers[later] > high)))


def _remove_leaks(
    columns: Mapping[str, Column], roles: Sequence[Role], label: LabelProposal
) -> tuple[dict[str, str], list[Role], dict[str, float]]:
    """Remove the columns and features that probably leak the label.

    Returns:
        The columns that are probably known too late, with the reasons; the other roles, without
        leaking features; and all features' strengths.
    """
    feature_columns = [columns[role.column] for role in roles if role.features]
    unavailable = find_null_together(feature_columns, label)
    strengths = measure_strengths(columns, [r for r in roles if r.column not in unavailable], label)
    clean_roles: list[Role] = []
    for role in roles:
        leaks = [e.name for e in role.features if strengths.get(e.name, 0) >= LEAK_STRENGTH]
        if leaks and not role.derive:
            unavailable[role.column] = (
                f"explains {strengths[leaks[0]]:.0%} of {label.column} by itself in the sample"
            )
        shares = ", ".join(f"{name} explains {strengths[name]:.0%}" for name in leaks)
        reason = f"{shares} of {label.column} by itself in the sample"
        clean_roles.append(role.remove_features(leaks, reason) if leaks else role)
    remaining = [
        columns[role.column]
        for role in clean_roles
        if role.features and role.column not in unavailable
    ]
    unavailable |= find_differences(remaining, label)
    clean_roles = [role for role in clean_roles if role.column not in unavailable]
    return unavailable, clean_roles, strengths


def _fall_back_to_hashes(
    columns: Mapping[str, Column],
    roles: Sequence[Role],
    unavailable: Mapping[str, str],
    label: str,
    names: FeatureNames,
) -> list[Role]:
    """Hash texts and whole numbers, ids included, where no column is a good feature.

    Raises:
        LakeError: no column can be hashed.
    """
    hashable = (ColumnType.STRING, ColumnType.INTEGER)
    fallback = "nothing else is left to learn from"
    hashed_roles = [
        propose_hash(columns[role.column], names, f"{fallback}; {role.exclusion_reason}")
        if columns[role.column].type in hashable and columns[role.column].distinct_count > 1
        else role
        for role in roles
    ]
    if any(role.features for role in hashed_roles):
        return hashed_roles
    reasons = {role.column: role.exclusion_reason for role in roles} | dict(unavailable)
    shown = [
        f"{make_printable(name)} ({reason})"
        for name, reason in list(reasons.items())[:_MAX_REASONS]
    ]
    more = len(reasons) - len(shown)
    listed = ", ".join(shown) + (f" and {more} more" if more else "")
    raise LakeError(f"no column is left to predict {label} from: {listed}")
