"""What the champion can be compared with is found out from records, before ranks start."""

import copy
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from headrace.errors import DatasetError, UnreachableError
from headrace.evaluate import champion as module
from headrace.evaluate.champion import describe_champion, resolve_dataset_root
from headrace.lake.storage import resolve_root
from headrace.lake.task import describe_dataset_task
from headrace.lake.version import DatasetVersion
from headrace.tracking.model import ModelVersion
from tests.tiny import tiny_recipe

CHAMPION = {"root": "/old", "version": 3}
OWN = {"root": "/data", "version": 7}
LABEL = {"kind": "binary", "classes": []}


def make_dataset(
    tmp_path: Path, place: dict[str, Any], *overrides: str, label: dict = LABEL, **build: Any
) -> Any:
    """A dataset version, as far as its records go."""
    record = {"key_definition": 2, "key_types": {"visit": "integer"}, "time_boundaries": None}
    record |= build
    recipe = tiny_recipe(tmp_path, *overrides).dump_resolved()
    return SimpleNamespace(
        **place,
        build=SimpleNamespace(recipe=recipe, **record),
        transform_json=json.dumps({"label": label, "raw": [{"name": "amount", "kind": "real"}]}),
        count_rows=lambda split: 9,
    )


def make_model(number: int, place: dict[str, Any], transform: str, **facts: Any) -> ModelVersion:
    places = {"dataset_root": place["root"], "dataset_version": place["version"]}
    return ModelVersion("m", number, "r", {"transform_digest": transform, **places, **facts})


class Records:
    """A champion and a model with the records of their datasets."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.tmp_path = tmp_path
        self.own = make_dataset(tmp_path, OWN)
        self.other: Any = make_dataset(tmp_path, CHAMPION)
        self.facts: dict[str, Any] = {}
        monkeypatch.setattr(module.DatasetVersion, "open", lambda root, version: self.open())

    def open(self) -> DatasetVersion:
        if isinstance(self.other, Exception):
            raise self.other
        return self.other

    def change(self, *overrides: str, **build: Any) -> None:
        self.other = make_dataset(self.tmp_path, CHAMPION, *overrides, **build)

    def describe(self, transform: str = "t", *overrides: str) -> dict[str, Any]:
        champion = make_model(2, CHAMPION, transform, **self.facts)
        model = make_model(3, OWN, "t")
        recipe = tiny_recipe(self.tmp_path, *overrides)
        return describe_champion(recipe, champion, model, self.own)


@pytest.fixture
def records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Records:
    return Records(tmp_path, monkeypatch)


def test_the_model_itself_is_not_compared(tmp_path: Path) -> None:
    model = make_model(3, OWN, "t")
    own = make_dataset(tmp_path, OWN)
    assert describe_champion(tiny_recipe(tmp_path), model, model, own)["same"]
    other = ModelVersion("other", 3, "r", model.metadata)
    assert not describe_champion(tiny_recipe(tmp_path), other, model, own)["same"]


def test_of_one_dataset_version_no_test_row_was_seen(tmp_path: Path) -> None:
    own = make_dataset(tmp_path, OWN)
    champion = describe_champion(
        tiny_recipe(tmp_path), make_model(2, OWN, "t"), make_model(3, OWN, "t"), own
    )
    assert (champion["dataset"], champion["seen"], champion["why_not"]) == (OWN, None, "")


def test_a_champion_of_the_same_transform_predicts_the_model_s_rows(records: Records) -> None:
    champion = records.describe()
    assert (champion["dataset"], champion["seen"], champion["why_not"]) == (OWN, CHAMPION, "")
    assert champion["counts_new"] is True


def test_a_champion_of_another_transform_predicts_its_own_rows(records: Records) -> None:
    champion = records.describe("another")
    assert (champion["dataset"], champion["seen"]) == (CHAMPION, CHAMPION)
    records.other.count_rows = lambda split: 0
    assert "has no test rows" in records.describe("another")["why_not"]


@pytest.mark.parametrize("transform", ["t", "another"])
@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        (["label.expression=visit > 3"], "label.expression: 'visit > 3' and 'late'"),
        (["label.expression=LATE"], "label.expression: 'LATE' and 'late'"),  # another column
        (
            ["label.kind=regression", "label.expression=visit"],
            "label.expression: 'visit' and 'late'",
        ),
        (
            ["clean.rules=[{kind: range, column: late, min: 0, on_violation: 'null'}]"],
            "rule range that makes late null: ",
        ),
        (
            ["source.tables.visits.columns={late: boolean}"],
            "declared type of late: 'boolean' and none",
        ),
    ],
)
def test_another_label_is_no_comparison(
    records: Records, overrides: list[str], text: str, transform: str
) -> None:
    records.change(*overrides)
    why_not = records.describe(transform)["why_not"]
    assert why_not.startswith("models:/m/2 and models:/m/3 predict different labels (")
    assert text in why_not


@pytest.mark.parametrize(
    "overrides",
    [
        ["label.expression= ( late ) -- of the visit"],
        ["label.expression='`late`'"],
        ["train.epochs=9", "model.hidden=[3]", "dataset.rows_per_file=90"],
        ["clean.rules=[{kind: not_null, columns: [late]}]"],
        ["clean.rules=[{kind: range, column: amount, min: 0, on_violation: 'null'}]"],
        ["source.tables.visits.columns={amount: real}"],
        ["source.tables.visits.path=/elsewhere"],
    ],
)
def test_what_is_no_part_of_the_label_does_not_count(
    records: Records, overrides: list[str]
) -> None:
    records.change(*overrides)
    assert records.describe()["why_not"] == ""


def test_new_classes_are_named(records: Records, tmp_path: Path) -> None:
    for name, place, classes in (("other", CHAMPION, "ab"), ("own", OWN, "bcd")):
        label = {"kind": "classes", "classes": list(classes)}
        setattr(records, name, make_dataset(tmp_path, place, label=label))
    text = "classes of the train split: 2 and 3, new 'c', 'd'; gone 'a'"
    assert text in records.describe()["why_not"]


def test_weights_count_where_rows_are_weighted(records: Records) -> None:
    records.change("label.sample_weight=amount")
    assert records.describe()["why_not"] == ""
    why_not = records.describe("t", "evaluate.weighted=true")["why_not"]
    assert "label.sample_weight: 'amount' and none" in why_not


def test_another_split_is_compared_on_rows_that_were_not_seen(records: Records) -> None:
    records.change("split.seed=4")
    champion = records.describe()
    assert (champion["why_not"], champion["seen"]) == ("", CHAMPION)
    assert champion["needs_known"] is True  # no definition says that test rows are test rows


@pytest.mark.parametrize(
    ("overrides", "build", "text"),
    [
        (["clean.dedup.key=[visit, day]"], {}, "clean.dedup.key: ['visit', 'day'] and ['visit']"),
        (["clean.dedup=null"], {}, "clean.dedup.key: none and ['visit']"),
        ([], {"key_types": {"visit": "string"}}, "type of visit: 'string' and 'integer'"),
    ],
)
def test_rows_of_another_identity_cannot_be_told(
    records: Records, overrides: list[str], build: dict[str, Any], text: str
) -> None:
    records.change("split.seed=4", *overrides, **build)
    for transform in ("t", "another"):
        why_not = records.describe(transform)["why_not"]
        assert "identify their rows differently" in why_not
        assert text in why_not


def test_equal_splits_need_no_identities(records: Records) -> None:
    """The split by day is the same for every row, whatever the rows are called."""
    records.change("clean.dedup.key=[visit, day]")
    champion = records.describe()
    assert (champion["why_not"], champion["seen"]) == ("", None)
    assert "both splits have one definition" in champion["remarks"][0]
    assert "identify their rows" in records.describe("another")["why_not"]


def test_a_split_by_the_dedup_key_says_nothing_of_keys_made_anew(records: Records) -> None:
    assert records.describe()["needs_known"] is False
    split = "split.key=[visit]"
    records.own = make_dataset(records.tmp_path, OWN, split)
    records.change(split)
    assert records.describe()["needs_known"] is True


def test_rows_without_a_key_are_others_where_their_values_are(records: Records) -> None:
    keyless = "clean.dedup=null"
    records.own = make_dataset(records.tmp_path, OWN, keyless)
    records.change(keyless, "split.seed=4")
    champion = records.describe()
    assert (champion["counts_new"], champion["needs_known"]) == (True, False)


def test_a_dataset_that_is_gone_prevents_the_comparison(records: Records) -> None:
    records.other = DatasetError("s3://key:secret@bucket has no version 3")
    why_not = records.describe("another")["why_not"]
    assert "the dataset of models:/m/2 is gone" in why_not
    assert "--keep-hours" in why_not
    assert "secret" not in why_not
    assert "is gone" in records.describe()["why_not"]  # the model does not say how it was split


def test_a_dataset_that_is_gone_is_not_needed_where_splits_are_equal(records: Records) -> None:
    task = describe_dataset_task(records.other)
    assert task is not None
    records.facts = {"task": json.loads(task.model_dump_json())}
    records.other = DatasetError("it has no version 3")
    champion = records.describe()
    assert (champion["why_not"], champion["seen"], champion["dataset"]) == ("", None, OWN)
    assert "it was trained on no test row" in champion["remarks"][0]
    assert "is gone" in records.describe("another")["why_not"]
    other = copy.deepcopy(records.facts)
    other["task"]["split"]["split.seed"] = 9
    records.facts = other
    assert "is gone" in records.describe()["why_not"]
    other["task"]["label"]["label.expression"] = "visit > 3"
    assert "predict different labels" in records.describe()["why_not"]


def test_boundaries_relative_to_a_build_prove_nothing(records: Records) -> None:
    task = describe_dataset_task(records.other)
    assert task is not None
    split = {"split.time.column": "day", "split.time.validation_from": "-90 days"}
    assert task.is_split_by_definition
    assert not task.model_copy(update={"split": split}).is_split_by_definition


def test_a_store_that_cannot_be_reached_is_an_error(records: Records) -> None:
    records.other = UnreachableError("no answer")
    with pytest.raises(UnreachableError):
        records.describe()


def test_a_record_that_does_not_say_the_task_is_named(records: Records) -> None:
    records.other.build.recipe = {"name": "by_hand"}
    champion = records.describe()
    assert champion["why_not"] == ""
    assert "does not say what the label is" in champion["remarks"][0]
    assert champion["counts_new"] is False


def test_the_root_is_the_recipe_s_where_it_is_the_same_without_credentials(tmp_path: Path) -> None:
    model = make_model(3, {"root": "/nowhere", "version": 3}, "t")
    recipe = tiny_recipe(tmp_path)
    assert resolve_dataset_root(recipe, model) == "/nowhere"
    model.metadata["dataset_root"] = resolve_root(recipe.dataset.path)
    assert resolve_dataset_root(recipe, model) == resolve_root(recipe.dataset.path)
