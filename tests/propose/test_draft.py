"""Any table gives a recipe that loads, or a message; and what is written is what was found."""

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.errors import LakeError, RecipeError
from headrace.propose.option_error import OptionError
from headrace.propose.text import CHOOSE
from headrace.recipe import Recipe, load_recipe
from headrace.recipe.parse import parse_yaml
from tests.propose.tables import days, drafted, written
from tests.propose.test_names import NASTY

ROWS = 600


def orders() -> pa.Table:
    """Orders of a shop: events, customers, a leak, a key."""
    rng = np.random.default_rng(5)
    amount = rng.lognormal(3, 1, ROWS)
    late = rng.random(ROWS) < 0.3
    return pa.table(
        {
            "order_id": [f"o{n:05}" for n in range(ROWS)],
            "ordered_at": days(ROWS),
            "customer": [f"c{n % 50}" for n in range(ROWS)],
            "amount": amount,
            "country": pa.array(np.array(["de", "fr", "it"])[np.arange(ROWS) % 3]),
            "refund": np.where(late, amount, 0.0),
            "nothing": pa.nulls(ROWS, pa.string()),
            "late": late,
        }
    )


def loaded(text: str, tmp_path: Path) -> Recipe:
    (tmp_path / "r.yaml").write_text(text, encoding="utf-8")
    return load_recipe(str(tmp_path / "r.yaml"), environment={})


def test_a_recipe_says_what_was_found(tmp_path: Path) -> None:
    draft = drafted(written(tmp_path / "orders", orders()), "late")
    recipe = loaded(draft.text, tmp_path)
    assert recipe.name == "orders"
    assert recipe.clean.dedup.key == ["order_id"]
    assert (recipe.label.expression, recipe.label.kind) == ("late", "binary")
    assert recipe.split.time.column == "ordered_at"
    assert recipe.unavailable == ["refund"]
    assert set(recipe.features) == {
        "customer", "amount", "country", "ordered_at_day_of_week",
    }  # fmt: skip
    assert "  - refund # says 100% of late by itself in the sample" in draft.text
    assert "nothing: null in all 600 sampled rows" in draft.text
    assert "order_id: a key: 600 different values in 600 sampled rows" in draft.text
    assert "It rests on all 600 rows, from 1 of 1 files" in draft.text


def test_lines_are_no_longer_than_people_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = drafted(written(Path("orders"), orders()), "late").text
    assert "path: orders # from the working directory" in text
    assert max(map(len, text.splitlines())) <= 100


def test_without_a_label_it_is_to_be_chosen_and_the_choice_is_the_one_edit(
    tmp_path: Path,
) -> None:
    draft = drafted(written(tmp_path / "orders", orders()))
    with pytest.raises(RecipeError) as refused:
        loaded(draft.text, tmp_path)
    assert [problem.where for problem in refused.value.problems] == ["label.expression"]
    assert "${CHOOSE_THE_LABEL} names no key of the recipe" in str(refused.value)
    line = next(line for line in draft.text.splitlines() if line.startswith("label:"))
    choices = re.findall(r"^# (label: .*)$", draft.text, re.MULTILINE)
    assert [parse_yaml(choice)["label"]["expression"] for choice in choices] == [
        "amount", "late", "refund",
    ]  # fmt: skip
    for choice in choices:
        recipe = loaded(draft.text.replace(line, choice), tmp_path)
        assert recipe.label.expression in choice
        # Columns that may be the label are no features until somebody says so.
        assert set(recipe.features) == {"customer", "country", "ordered_at_day_of_week"}
    spare = [line.strip() for line in draft.text.splitlines() if line.startswith("  # amount:")]
    assert len(spare) == 1
    assert spare[0].startswith("# amount: {kind: standardize")


def test_a_table_below_the_workdir_is_named_by_it(tmp_path: Path) -> None:
    written(tmp_path / "lake" / "orders", orders())
    text = drafted(tmp_path / "lake" / "orders", "late", workdir=str(tmp_path)).text
    assert "path: ${workdir}/lake/orders" in text


NASTY_VALUES = ["no", "a: b", "# x", "it's", "${y}", "a\nb", "\x07", "日本", "", "'", '"', "\\"]


def test_columns_and_values_of_any_name(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    columns = {name: [f"t{n}" for n in rng.integers(0, 7, ROWS)] for name in NASTY}
    columns["it's"] = [NASTY_VALUES[n % len(NASTY_VALUES)] for n in range(ROWS)]
    table = written(tmp_path / "a b: c", columns)
    for label in NASTY[::8]:
        recipe = loaded(drafted(table, label).text, tmp_path)
        read = {feature.column or name for name, feature in recipe.features.items()}
        assert read == {*NASTY} - {label}


def test_a_name_that_no_recipe_can_have_is_left_out(tmp_path: Path) -> None:
    table = {"${x}": range(ROWS), "y": np.arange(ROWS) % 2, "a": np.arange(ROWS) / 7 % 1}
    draft = drafted(written(tmp_path / "t", table), "y")
    assert list(loaded(draft.text, tmp_path).features) == ["a"]
    assert "${x}: a recipe cannot name it" in draft.text


NAME = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
COLUMN = st.sampled_from(["integer", "real", "text", "flag", "time", "list", "null", "constant"])


def column(kind: str, rows: int, rng: np.random.Generator) -> pa.Array:
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
    names=st.lists(NAME | st.sampled_from(NASTY), min_size=1, max_size=8, unique=True),
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
    table = pa.table({name: column(data.draw(COLUMN), rows, rng) for name in names})
    folder = tmp_path_factory.mktemp("t")
    path = written(folder / "table", table)
    try:
        draft = drafted(path, names[-1] if labelled else None)
    except (OptionError, LakeError) as error:
        assert str(error)
        return
    if labelled:
        recipe = loaded(draft.text, folder)
        assert names[-1] not in {
            f.column or n for n, f in recipe.features.items() if f.kind != "cross"
        }
    else:
        assert CHOOSE in draft.text


def test_what_does_not_fit(tmp_path: Path) -> None:
    table = written(tmp_path / "orders", orders())
    with pytest.raises(OptionError, match="--name my orders: letters, digits and _ only"):
        drafted(table, "late", name="my orders")
    with pytest.raises(OptionError, match="begins a variable"):
        drafted(tmp_path / "${x}", "late")
    label = np.arange(2 * ROWS) % 2
    alone = written(tmp_path / "alone", {"y": label, "copy": label})
    with pytest.raises(LakeError, match=r"no column is left to predict y from: copy \(says 100%"):
        drafted(alone, "y")
    keys = written(tmp_path / "keys", {"a": [f"k{n}" for n in range(ROWS)]})
    with pytest.raises(LakeError, match="has no column that could be predicted"):
        drafted(keys)
