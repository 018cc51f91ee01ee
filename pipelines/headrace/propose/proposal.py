"""Propose all that a recipe states, from a sample and a label: key, split, roles, leaks, cleaning.

The modules of this package decide each of them; here is their order, and what one decision takes
from another.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from headrace.errors import LakeError
from headrace.number_text import format_share
from headrace.propose.cleaning import CleanProposal, propose_cleaning
from headrace.propose.columns import Column
from headrace.propose.keys import RowKey, find_row_key
from headrace.propose.label import (
    LabelProposal,
    propose_label,
)
from headrace.propose.label_choice import get_label_column, list_likely_labels
from headrace.propose.label_copies import find_copies, find_named_results
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
# Share of the feature columns that are taken for the label once more, at most.
_MAX_UNAVAILABLE_SHARE = 0.25
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
        unavailable: column -> why it is the label once more, or known with it.
        suspicious: column -> the sign that it may be so; it is a feature all the same.
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
    suspicious: Mapping[str, str]
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
    if len(columns) + len(sample.images) == 1:
        raise LakeError(f"no column is left to predict {label} from: there is no other")
    _refuse_constants(sample, label)
    key = find_row_key(sample, label)
    split = propose_split(sample, label_proposal, key)
    names = FeatureNames([*columns, *sample.images])
    unavailable, suspicious, roles, strengths = _remove_leaks(
        sample, _assign_roles(sample, split, key, names, label), label_proposal
    )
    roles += _build_image_roles(sample, names)
    if not any(role.features for role in roles):
        roles = _fall_back_to_hashes(sample, roles, unavailable, label, names)
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
        suspicious=suspicious,
        strongest_features={name: strengths[name] for name in ranked[:_MAX_STRONGEST]},
        strong_features={
            name: strengths[name] for name in ranked if strengths[name] >= _MIN_STRENGTH
        },
        train_rows=round(_estimate_train_rows(sample, split) * labelled_share),
        key=key,
    )


def _propose_without_label(sample: Sample) -> Proposal:
    """Propose a recipe with likely labels, whose columns are no features until one is chosen."""
    has_others = len(sample.columns) + len(sample.images) > 1
    choices = list_likely_labels(sample.columns.values(), sample.table_rows) if has_others else []
    if not choices:
        raise _make_no_label_error(sample)
    key = find_row_key(sample, None)
    split = propose_split(sample, None, key)
    names = FeatureNames([*sample.columns, *sample.images])
    roles = {role.column: role for role in _assign_roles(sample, split, key, names, None)}
    roles |= {role.column: role for role in _build_image_roles(sample, names)}
    while choices:
        candidate_roles = [roles[choice.column] for choice in choices]
        other_roles = [role for role in roles.values() if role not in candidate_roles]
        if any(role.features for role in other_roles):
            break
        choices.pop()
    else:
        raise _make_no_label_error(sample)
    return Proposal(
        sample=sample,
        label=None,
        choices=tuple(choices),
        split=split,
        cleaning=propose_cleaning(sample, None, key),
        roles=tuple(other_roles),
        candidate_roles=tuple(candidate_roles),
        unavailable={},
        suspicious={},
        strongest_features={},
        strong_features={},
        train_rows=round(_estimate_train_rows(sample, split)),
        key=key,
    )


def _make_no_label_error(sample: Sample) -> LakeError:
    return LakeError(
        f"{redact_text(sample.path)} has no column that could be predicted from another one: "
        "labels are numbers, conditions and classes with more than one value"
    )


def _refuse_constants(sample: Sample, label: str) -> None:
    """Refuse a table whose other columns have one value each.

    Raises:
        LakeError: with the reasons why no column can be a feature.
    """
    others = [column for name, column in sample.columns.items() if name != label]
    has_values = any(c.distinct_count > 1 or c.type.value.startswith("list") for c in others)
    if has_values or sample.images:
        return
    names = FeatureNames(sample.columns)
    roles = (assign_role(column, names, sample.table_rows) for column in others)
    raise _make_no_feature_error(label, {role.column: role.exclusion_reason for role in roles})


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


def _build_image_roles(sample: Sample, names: FeatureNames) -> list[Role]:
    """Return the feature of the first column of images: a network has one; others are left out."""
    roles: list[Role] = []
    for image in sample.images.values():
        if roles:
            reason = f"images, as {roles[0].column} is; the model has one image"
            roles.append(Role(image.name, exclusion_reason=reason))
        else:
            roles.append(image.build_role(names))
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
    reason = (
        f"{format_share(share)} of its values after the split's first date do not occur before it"
    )
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
    sample: Sample, roles: Sequence[Role], label: LabelProposal
) -> tuple[dict[str, str], dict[str, str], list[Role], dict[str, float]]:
    """Remove the columns that are the label once more; what only may leak it is a suspicion.

    Returns:
        The columns that are known too late, with the reasons; those that are suspicious, with the
        signs; the roles of all columns but the first; and all features' strengths.
    """
    columns = sample.columns
    feature_columns = [columns[role.column] for role in roles if role.features]
    null_together = find_null_together(feature_columns, label)
    strengths = measure_strengths(columns, roles, label)
    by_column = {
        role.column: max(strengths.get(entry.name, 0.0) for entry in role.features)
        for role in roles
        if role.features
    }
    differences = find_differences(feature_columns, label)
    unavailable = (
        {
            name: f"{label.column} is it minus {difference.other}, in all sampled rows"
            for name, difference in differences.items()
            if difference.is_exact and label.kind == "regression"
        }
        | find_named_results(feature_columns, label, by_column, null_together)
        | find_copies(feature_columns, label, sample.table_rows)
    )
    suspicious = {
        name: f"explains {format_share(strength)} of {label.column} by itself in the sample"
        for name, strength in by_column.items()
        if strength >= LEAK_STRENGTH
    }
    suspicious |= {
        name: f"minus {difference.other} it explains {format_share(difference.strength)} of "
        f"{label.column} in the sample"
        for name, difference in differences.items()
        if name not in suspicious
    }
    suspicious |= null_together
    # A sign that most columns have says that it is none.
    if len(unavailable) > max(1, _MAX_UNAVAILABLE_SHARE * len(feature_columns)) or (
        2 * len(unavailable) > len(feature_columns)
    ):
        suspicious |= unavailable
        unavailable = {}
    suspicious = {name: why for name, why in suspicious.items() if name not in unavailable}
    clean_roles = [role for role in roles if role.column not in unavailable]
    return unavailable, suspicious, clean_roles, strengths


def _fall_back_to_hashes(
    sample: Sample,
    roles: Sequence[Role],
    unavailable: Mapping[str, str],
    label: str,
    names: FeatureNames,
) -> list[Role]:
    """Hash texts and whole numbers, ids included, where no column is a good feature; never numbers
    that are all different, such as that of the row, which say nothing of another row.

    Raises:
        LakeError: no column can be hashed.
    """
    columns = sample.columns
    hashable = (ColumnType.STRING, ColumnType.INTEGER)
    fallback = "nothing else is left to learn from"
    hashed_roles = [
        propose_hash(columns[role.column], names, f"{fallback}; {role.exclusion_reason}")
        if role.column in columns
        and columns[role.column].type in hashable
        and columns[role.column].distinct_count > 1
        and not (columns[role.column].type is ColumnType.INTEGER and columns[role.column].is_unique)
        else role
        for role in roles
    ]
    if any(role.features for role in hashed_roles):
        return hashed_roles
    reasons = {role.column: role.exclusion_reason for role in roles} | dict(unavailable)
    raise _make_no_feature_error(label, reasons)


def _make_no_feature_error(label: str, reasons: Mapping[str, str]) -> LakeError:
    shown = [
        f"{make_printable(name)} ({reason})"
        for name, reason in list(reasons.items())[:_MAX_REASONS]
    ]
    more = len(reasons) - len(shown)
    listed = ", ".join(shown) + (f" and {more} more" if more else "")
    return LakeError(f"no column is left to predict {label} from: {listed}")
