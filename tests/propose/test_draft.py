"""Check that any table gives a recipe that loads or a message, and what the recipe states."""

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.errors import LakeError, OptionError, RecipeError
from headrace.progress import ignore_progress
from headrace.propose.text import CHOOSE_LABEL
from headrace.recipe import Recipe, load_recipe
from headrace.recipe.parse import parse_yaml
from tests.propose.tables import ODD_NAMES, build_orders, draft_table, write_table

ROWS, PREPARED_ROWS = 600, 1_200
KINDS = ["integer", "real", "text", "flag", "time", "list", "null", "constant"]


def load_text(text: str, tmp_path: Path) -> Recipe:
    (tmp_path / "r.yaml").write_text(text, encoding="utf-8")
    return load_recipe(str(tmp_path / "r.yaml"), environment={})


def test_a_recipe_states_what_the_sample_shows(tmp_path: Path) -> None:
    draft = draft_table(write_table(tmp_path / "orders", build_orders()), "late")
    recipe = load_text(draft.text, tmp_path)
    assert recipe.name == "orders"
    assert recipe.clean.dedup.key == ["order_id"]
    assert (recipe.label.expression, recipe.label.kind) == ("late", "binary")
    assert recipe.split.time.column == "ordered_at"
    assert recipe.unavailable == ["refund"]
    assert set(recipe.features) == {
        "customer", "amount", "country", "ordered_at_day_of_week",
    }  # fmt: skip
    reason = "0.0 in all 403 sampled rows of one label, and in no other row"
    assert f"  - refund # {reason}" in draft.text
    assert "nothing: null in all 600 sampled rows" in draft.text
    assert "order_id: a key: 600 different values in 600 sampled rows" in draft.text
    assert "It is based on all 600 rows, from 1 of 1 files" in draft.text


def test_without_a_label_choosing_one_is_the_only_edit(
    tmp_path: Path,
) -> None:
    draft = draft_table(write_table(tmp_path / "orders", build_orders()))
    with pytest.raises(RecipeError) as raised:
        load_text(draft.text, tmp_path)
    assert [problem.where for problem in raised.value.problems] == ["label.expression"]
    assert "${CHOOSE_THE_LABEL} names no key of the recipe" in str(raised.value)
    line = next(line for line in draft.text.splitlines() if line.startswith("label:"))
    choices = re.findall(r"^# (label: .*)$", draft.text, re.MULTILINE)
    assert [parse_yaml(choice)["label"]["expression"] for choice in choices] == [
        "late", "amount", "refund",
    ]  # fmt: skip
    for choice in choices:
        recipe = load_text(draft.text.replace(line, choice), tmp_path)
        assert recipe.label.expression in choice
        # Columns that may be the label are no features until somebody says so.
        assert set(recipe.features) == {"customer", "country", "ordered_at_day_of_week"}
    spare = [line.strip() for line in draft.text.splitlines() if line.startswith("  # amount:")]
    assert len(spare) == 1
    assert spare[0].startswith("# amount: {kind: standardize")


ODD_VALUES = ["no", "a: b", "# x", "it's", "${y}", "a\nb", "\x07", "日本", "", "'", '"', "\\"]


def test_columns_and_values_of_any_name(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    columns = {name: [f"t{n}" for n in rng.integers(0, 7, ROWS)] for name in ODD_NAMES}
    columns["it's"] = [ODD_VALUES[n % len(ODD_VALUES)] for n in range(ROWS)]
    table = write_table(tmp_path / "a b: c", columns)
    for label in ODD_NAMES[::8]:
        recipe = load_text(draft_table(table, label).text, tmp_path)
        read = {feature.column or name for name, feature in recipe.features.items()}
        assert read == {*ODD_NAMES} - {label}


def test_a_name_that_no_recipe_can_have_is_left_out(tmp_path: Path) -> None:
    table = {"${x}": range(ROWS), "y": np.arange(ROWS) % 2, "a": np.arange(ROWS) / 7 % 1}
    draft = draft_table(write_table(tmp_path / "t", table), "y")
    assert list(load_text(draft.text, tmp_path).features) == ["a"]
    assert "${x}: a recipe cannot name it" in draft.text


NAME = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
COLUMN = st.sampled_from(KINDS)


def build_column(kind: str, rows: int, rng: np.random.Generator) -> pa.Array:
    gaps = rng.random(rows) < rng.choice([0.0, 0.0, 0.3])
    if kind == "integer":
        return pa.array(rng.integers(-5, int(rng.choice([2, 40, 10**6])), rows), mask=gaps)
    if kind == "real":
        numbers = rng.standard_cauchy(rows) * 10.0 ** rng.integers(-3, 9)
        return pa.array(np.where(rng.random(rows) < 0.05, np.nan, numbers), mask=gaps)
    if kind == "text":
        words = int(rng.choice([2, 30, 10**6]))
        blank = rng.choice(["", " ", " of "])
        texts = [f"v{n}{blank}{n % 3}" for n in rng.integers(0, words, rows)]
        return pa.array(texts, pa.string(), mask=gaps)
    if kind == "flag":
        return pa.array(rng.random(rows) < 0.5, mask=gaps)
    if kind == "time":
        seconds = rng.integers(0, int(rng.choice([10, 10**5, 10**8])), rows)
        moments = np.datetime64("2020-01-01", "us") + seconds.astype("timedelta64[s]")
        return pa.array(moments, mask=gaps)
    if kind == "list":
        lists = [list(map(int, rng.integers(0, 9, n))) for n in rng.integers(0, 4, rows)]
        return pa.array(lists, pa.list_(pa.int64()))
    return pa.nulls(rows, pa.string()) if kind == "null" else pa.array(["c"] * rows)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    names=st.lists(NAME | st.sampled_from(ODD_NAMES), min_size=1, max_size=8, unique=True),
    rows=st.sampled_from([1, 2, 7, 40, 300, 1500]),
    seed=st.integers(0, 2**16),
    labelled=st.booleans(),
    data=st.data(),
)
def test_every_table_gives_a_recipe_that_loads_or_a_message(
    names: list[str], rows: int, seed: int, labelled: bool, data: st.DataObject,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:  # fmt: skip
    rng = np.random.default_rng(seed)
    table = pa.table({name: build_column(data.draw(COLUMN), rows, rng) for name in names})
    folder = tmp_path_factory.mktemp("t")
    path = write_table(folder / "table", table)
    try:
        draft = draft_table(path, names[-1] if labelled else None)
    except (OptionError, LakeError) as error:
        assert str(error)
        return
    if labelled:
        recipe = load_text(draft.text, folder)
        assert names[-1] not in {
            f.column or n for n, f in recipe.features.items() if f.kind != "cross"
        }
    else:
        assert CHOOSE_LABEL in draft.text


def test_options_and_tables_that_do_not_fit(tmp_path: Path) -> None:
    table = write_table(tmp_path / "orders", build_orders())
    with pytest.raises(OptionError, match="--name my orders: letters, digits and _ only"):
        draft_table(table, "late", name="my orders")
    with pytest.raises(OptionError, match="begins a variable"):
        draft_table(tmp_path / "${x}", "late")
    label = np.arange(2 * ROWS) % 2
    alone = write_table(tmp_path / "alone", {"y": label, "copy": label})
    with pytest.raises(LakeError, match=r"2 different keys \(y, copy\), which are too few"):
        draft_table(alone, "y")
    # A copy alone is no small share of the columns: it is named, and somebody has to decide.
    numbered = write_table(tmp_path / "numbered", {"id": range(len(label)), "y": label, "z": label})
    text = draft_table(numbered, "y").text
    assert "#   z: each of its 2 values occurs with one value of y alone" in text
    keys = write_table(tmp_path / "keys", {"a": [f"k{n}" for n in range(ROWS)]})
    with pytest.raises(LakeError, match="has no column that could be predicted"):
        draft_table(keys)


def build_random_table(seed: int) -> pa.Table:
    """Return columns of every kind, under names that nobody should choose."""
    rng = np.random.default_rng(seed)
    names = rng.permutation(ODD_NAMES)[: 2 * len(KINDS)].tolist()
    kinds = [*KINDS, *rng.choice(KINDS[:6], len(KINDS))]
    return pa.table(
        {n: build_column(k, PREPARED_ROWS, rng) for n, k in zip(names, kinds, strict=True)}
    )


@pytest.mark.spark
@pytest.mark.usefixtures("spark")
@pytest.mark.parametrize("seed", range(4))
def test_spark_makes_a_dataset_of_any_proposal(seed: int, tmp_path: Path) -> None:
    from headrace.prepare import prepare

    table = build_random_table(seed)
    path = write_table(tmp_path / "table", table)
    drafts = []
    for label in table.column_names:
        try:
            drafts.append(draft_table(path, label, workdir=str(tmp_path)))
        except (LakeError, OptionError):
            continue
    assert drafts
    draft = drafts[seed % len(drafts)]
    (tmp_path / "r.yaml").write_text(draft.text, encoding="utf-8")
    recipe = load_recipe(str(tmp_path / "r.yaml"), workdir=str(tmp_path), environment={})
    dataset = prepare(recipe, workdir=str(tmp_path), report=ignore_progress).dataset
    ledger = dataset.build.ledger
    assert ledger.read == ledger.accounted_rows == PREPARED_ROWS
    assert min(ledger.published.values()) > 0
    assert sum(ledger.quarantined.values()) == 0
