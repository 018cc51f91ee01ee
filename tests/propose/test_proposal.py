"""Check how the decisions fit together: split, leaks, roles and label."""

import numpy as np
import pyarrow as pa
import pytest
import sklearn.datasets

from headrace.errors import LakeError
from headrace.propose.proposal import Proposal, propose_recipe
from tests.propose.tables import build_orders, build_sample, list_days

ROWS = 1_000
NUMBERS = np.arange(ROWS)
RNG = np.random.default_rng(8)
LABEL = RNG.random(ROWS) < 0.5


def list_features(proposal: Proposal) -> list[str]:
    return [entry.name for role in proposal.roles for entry in role.features]


def get_exclusion_reason(proposal: Proposal, column: str) -> str:
    return next(role.exclusion_reason for role in proposal.roles if role.column == column)


def test_every_decision_is_in_the_proposal() -> None:
    proposal = propose_recipe(build_sample(build_orders()), "late")
    assert proposal.label is not None
    assert (proposal.label.expression, proposal.label.kind) == ("late", "binary")
    assert proposal.key.columns == ("order_id",)
    assert proposal.cleaning.dedup_key == ("order_id",)
    assert proposal.split.time_column == "ordered_at"
    assert set(proposal.unavailable) == {"refund"}
    assert list_features(proposal) == ["ordered_at_day_of_week", "customer", "amount", "country"]
    assert proposal.train_rows == 480  # 80% of 600 rows, none of which lacks the label
    assert (proposal.choices, proposal.candidate_roles) == ((), ())
    assert len(proposal.strongest_features) == 3


def test_rows_without_a_label_are_no_train_rows() -> None:
    label = [bool(n % 2) if n % 4 else None for n in NUMBERS]
    proposal = propose_recipe(build_sample({"y": label, "x": RNG.normal(size=ROWS)}), "y")
    assert proposal.train_rows == 600  # 80% of the 750 that have one


def test_without_a_label_likely_ones_are_choices_and_no_features() -> None:
    proposal = propose_recipe(build_sample(build_orders()), None)
    assert proposal.label is None
    assert [choice.column for choice in proposal.choices] == ["late", "amount", "refund"]
    assert [role.column for role in proposal.candidate_roles] == ["late", "amount", "refund"]
    assert list_features(proposal) == ["ordered_at_day_of_week", "customer", "country"]


def test_choices_are_fewer_where_no_other_column_would_be_a_feature() -> None:
    columns = {"amount": RNG.normal(size=ROWS), "flag": LABEL}
    proposal = propose_recipe(build_sample(columns), None)
    assert [choice.column for choice in proposal.choices] == ["flag"]
    assert list_features(proposal) == ["amount"]


def test_a_column_that_rows_are_split_by_is_no_feature() -> None:
    columns = {"customer": NUMBERS % 200, "id": NUMBERS * 3 + 7, "x": RNG.normal(size=ROWS)}
    proposal = propose_recipe(build_sample({**columns, "y": LABEL}), "y")
    assert proposal.split.key == ("customer",)
    assert get_exclusion_reason(proposal, "customer").startswith("rows are split by it: its values")
    assert "customer" not in list_features(proposal)


def test_a_column_whose_later_values_are_new_is_no_feature() -> None:
    columns = {
        "at": list_days(ROWS),
        "week": [f"w{n // 7}" for n in NUMBERS],  # every week is new
        "counter": NUMBERS / 2,  # it only rises
        "x": RNG.normal(size=ROWS),
    }
    proposal = propose_recipe(build_sample({**columns, "y": LABEL}), "y")
    assert proposal.split.time_column == "at"
    # The split is at day 799, within w114 (days 798 to 804): of the 201 later rows 6 have a week
    # that an earlier row has.
    assert get_exclusion_reason(proposal, "week") == (
        "97% of its values after the split's first date do not occur before it"
    )
    assert get_exclusion_reason(proposal, "counter") == (
        "100% of its values after the split's first date do not occur before it"
    )
    assert "x" in list_features(proposal)


def test_a_feature_that_explains_all_is_suspicious_and_stays() -> None:
    hours = RNG.permutation(ROWS * 24)[:ROWS]
    moments = np.datetime64("2024-01-01", "us") + hours * np.timedelta64(1, "h")
    columns = {"birth_date": moments, "x": RNG.normal(size=ROWS), "y": hours % 24 < 12}
    proposal = propose_recipe(build_sample(columns), "y")
    assert proposal.unavailable == {}
    assert {"birth_date_hour", "birth_date_seconds"} <= {*list_features(proposal)}
    assert proposal.suspicious == {"birth_date": "explains 100% of y by itself in the sample"}


@pytest.mark.parametrize("copies", range(1, 9))
def test_never_most_columns_are_taken_from_the_features(copies: int) -> None:
    measured = {f"m{n}": RNG.normal(size=ROWS) for n in range(8 - copies)}
    columns = {f"c{n}": np.where(LABEL, n + 1, -n) for n in range(copies)} | measured
    columns["id"] = NUMBERS
    proposal = propose_recipe(build_sample({**columns, "y": LABEL}), "y")
    few = copies <= 2  # a quarter of eight
    assert set(proposal.unavailable) == ({f"c{n}" for n in range(copies)} if few else set())
    assert len(list_features(proposal)) == (8 - copies if few else 8)
    assert few or {f"c{n}" for n in range(copies)} <= set(proposal.suspicious)


@pytest.mark.parametrize("name", ["iris", "wine", "breast_cancer", "diabetes"])
def test_measurements_of_known_tables_are_features_and_no_keys(name: str) -> None:
    rows = getattr(sklearn.datasets, f"load_{name}")(as_frame=True).frame
    sample = build_sample(pa.Table.from_pandas(rows, preserve_index=False))
    assert propose_recipe(sample, None).choices[0].column == "target"
    proposal = propose_recipe(sample, "target")
    assert len(list_features(proposal)) == rows.shape[1] - 1
    assert (dict(proposal.unavailable), proposal.cleaning.dedup_key) == ({}, ())
    assert proposal.key.columns == ()
    assert proposal.split.section["key"] == list(rows.columns)


def test_strong_features_are_those_that_evaluation_may_take_for_leaks() -> None:
    strong = LABEL + RNG.normal(0, 0.5, ROWS)
    columns = {"strong": strong, "weak": RNG.normal(size=ROWS), "y": LABEL}
    proposal = propose_recipe(build_sample(columns), "y")
    assert list(proposal.strong_features) == ["strong"]
    assert 0.7 <= proposal.strong_features["strong"] < 0.9
    assert list(proposal.strongest_features) == ["strong", "weak"]  # the strongest first


def test_ids_are_hashed_where_nothing_else_is_left() -> None:
    keys = [f"k{n}" for n in NUMBERS]
    proposal = propose_recipe(build_sample({"name": keys, "y": LABEL}), "y")
    (entry,) = proposal.roles[0].features
    assert entry.settings["kind"] == "hash"
    assert entry.reason.startswith("nothing else is left to learn from; a key: 1,000 different")


@pytest.mark.parametrize(
    ("columns", "label", "message"),
    [
        ({"y": LABEL}, "y", "no column is left to predict y from: there is no other"),
        (
            {"y": LABEL, "same": [1.5] * ROWS},
            "y",
            r"no column is left to predict y from: same \(1.5 in all 1,000 sampled rows\)",
        ),
        ({"a": LABEL}, None, "has no column that could be predicted from another one"),
    ],
)
def test_tables_with_nothing_to_learn_from_are_refused(
    columns: dict, label: str | None, message: str
) -> None:
    with pytest.raises(LakeError, match=message):
        propose_recipe(build_sample(columns), label)
