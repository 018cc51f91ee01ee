"""The champion's alias: moved forwards and back, never half-way, in a real MLflow store."""

import sqlite3

import mlflow
import pytest

from headrace.errors import ModelError
from headrace.tracking import registry
from headrace.tracking.model import ModelVersion
from headrace.tracking.registry import (
    AliasMove,
    promote_model,
    read_verdict,
    record_verdict,
    roll_back_champion,
)
from headrace.tracking.run import start_run
from headrace.tracking.store import Store, open_client


@pytest.fixture(autouse=True)
def versions_without_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """A version can be looked up without a model behind it."""
    monkeypatch.setattr(registry, "find_model", lambda store, uri: version(int(uri[-1])))


def version(number: int, run_id: str = "r") -> ModelVersion:
    return ModelVersion("m", number, run_id, {})


def make_versions(store: Store, count: int) -> None:
    client = open_client(store)
    client.create_registered_model("m")
    for _ in range(count):
        client.create_model_version("m", "file:///nowhere")


def promote(store: Store, number: int) -> AliasMove:
    """Promote a version that was compared with the champion of now."""
    return promote_model(store, version(number), registry.find_champion(store))


def aliases(store: Store) -> dict[str, str]:
    found = mlflow.MlflowClient(store.uri).get_registered_model("m").aliases
    return {name: str(version) for name, version in found.items()}


def test_several_promotions_are_rolled_back_one_by_one(store: Store) -> None:
    make_versions(store, 4)
    assert promote(store, 1) == AliasMove(1, None)
    assert promote(store, 2) == AliasMove(2, 1)
    assert promote(store, 4) == AliasMove(4, 2)
    assert aliases(store) == {"champion": "4", "previous": "2"}
    assert roll_back_champion(store) == AliasMove(2, 4)
    assert aliases(store) == {"champion": "2", "previous": "1"}
    assert roll_back_champion(store) == AliasMove(1, 2)
    assert aliases(store) == {"champion": "1"}
    with pytest.raises(ModelError, match="no version before its champion, version 1"):
        roll_back_champion(store)
    assert aliases(store) == {"champion": "1"}


def test_a_champion_is_promoted_once(store: Store) -> None:
    make_versions(store, 2)
    promote(store, 1)
    promote(store, 2)
    assert promote(store, 2) == AliasMove(2, 2)
    assert aliases(store) == {"champion": "2", "previous": "1"}


def test_what_was_rolled_back_may_come_again(store: Store) -> None:
    make_versions(store, 2)
    promote(store, 1)
    promote(store, 2)
    roll_back_champion(store)
    assert promote(store, 2) == AliasMove(2, 1)
    assert aliases(store) == {"champion": "2", "previous": "1"}


def test_no_model_and_no_champion(store: Store) -> None:
    assert registry.find_champion(store) is None
    with pytest.raises(ModelError, match="no champion to roll back"):
        roll_back_champion(store)


def test_a_version_that_is_promoted_again_has_its_own_way_back(store: Store) -> None:
    make_versions(store, 2)
    for number in (1, 2, 1, 2):
        promote(store, number)
    assert aliases(store) == {"champion": "2", "previous": "1"}
    assert [roll_back_champion(store) for _ in range(3)] == [
        AliasMove(1, 2), AliasMove(2, 1), AliasMove(1, 2),
    ]  # fmt: skip
    assert aliases(store) == {"champion": "1"}
    with pytest.raises(ModelError, match="no version before its champion"):
        roll_back_champion(store)


def test_deleted_versions_are_passed_over_and_named(store: Store) -> None:
    make_versions(store, 4)
    for number in (1, 2, 3, 4):
        promote(store, number)
    client = open_client(store)
    client.delete_model_version("m", "3")
    client.delete_model_version("m", "2")
    assert roll_back_champion(store) == AliasMove(1, 4, (3, 2))
    assert aliases(store) == {"champion": "1"}


def test_a_champion_that_was_deleted_is_said(store: Store) -> None:
    make_versions(store, 2)
    promote(store, 1)
    promote(store, 2)
    open_client(store).delete_model_version("m", "2")
    with pytest.raises(ModelError, match=r"version 2, was deleted.*rollback.*version 1 the champ"):
        registry.find_champion(store)
    assert roll_back_champion(store) == AliasMove(1, 2)
    assert aliases(store) == {"champion": "1"}
    open_client(store).delete_model_version("m", "1")
    assert registry.find_champion(store) is None
    with pytest.raises(ModelError, match="no version before its champion, version 1; nothing"):
        roll_back_champion(store)


def tag_as_an_older_headrace(store: Store, champions: list[int]) -> None:
    """Leave what `headrace promote` left before it kept a record."""
    client = open_client(store)
    for before, number in zip(["", *champions], champions, strict=False):
        client.set_model_version_tag("m", str(number), "headrace.champion_before", str(before))
        client.set_model_version_tag("m", str(number), "headrace.promoted_at", f"2024-0{number}")
    client.set_registered_model_alias("m", "champion", str(champions[-1]))
    client.set_registered_model_alias("m", "previous", str(champions[-2]))


@pytest.mark.parametrize(
    ("deleted", "moves"),
    [
        ([], [AliasMove(2, 3), AliasMove(1, 2)]),
        ([1], [AliasMove(2, 3)]),
        ([2], [AliasMove(1, 3, (2,))]),
        ([3], [AliasMove(2, None), AliasMove(1, 2)]),
        ([1, 2], []),
    ],
)
def test_what_an_older_headrace_tagged_is_rolled_back(
    store: Store, deleted: list[int], moves: list[AliasMove]
) -> None:
    make_versions(store, 3)
    tag_as_an_older_headrace(store, [1, 2, 3])
    for number in deleted:
        open_client(store).delete_model_version("m", str(number))
    assert [roll_back_champion(store) for _ in moves] == moves
    before = aliases(store)
    with pytest.raises(ModelError, match=r"no version before its champion, version.*nothing was"):
        roll_back_champion(store)
    assert aliases(store) == before


def test_tags_that_go_round_in_a_circle_end(store: Store) -> None:
    make_versions(store, 2)
    tag_as_an_older_headrace(store, [1, 2])
    open_client(store).set_model_version_tag("m", "1", "headrace.champion_before", "2")
    assert roll_back_champion(store) == AliasMove(1, 2)
    with pytest.raises(ModelError, match="no version before its champion, version 1; nothing"):
        roll_back_champion(store)


def test_a_version_that_cannot_be_read_is_not_rolled_back_to(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_versions(store, 2)
    promote(store, 1)
    promote(store, 2)

    def refuse(store: Store, uri: str) -> ModelVersion:
        raise ModelError(f"model {uri}: its files are gone")

    monkeypatch.setattr(registry, "find_model", refuse)
    with pytest.raises(ModelError, match=r"m/1: its files are gone; nothing was moved\. Repair"):
        roll_back_champion(store)
    assert aliases(store) == {"champion": "2", "previous": "1"}


def test_another_champion_than_that_compared_with_is_refused(store: Store) -> None:
    make_versions(store, 3)
    promote(store, 1)
    promote(store, 2)
    with pytest.raises(ModelError, match="compared with version 1, and the champion is version 2"):
        promote_model(store, version(3), version(1))
    open_client(store).delete_model_version("m", "3")
    with pytest.raises(ModelError, match="models:/m/3 was deleted in MLflow"):
        promote(store, 3)
    assert aliases(store) == {"champion": "2", "previous": "1"}


def test_a_damaged_record_is_refused(store: Store) -> None:
    make_versions(store, 2)
    promote(store, 1)
    open_client(store).set_registered_model_tag("m", "headrace.champions", "1;2")
    with pytest.raises(
        ModelError, match=r"tag headrace\.champions of model m .* is '1;2', expected"
    ):
        promote(store, 2)
    assert aliases(store) == {"champion": "1"}


def test_an_alias_that_was_moved_by_hand_decides(store: Store) -> None:
    make_versions(store, 4)
    for number in (1, 2, 3):
        promote(store, number)
    client = open_client(store)
    client.set_registered_model_alias("m", "champion", "4")
    assert roll_back_champion(store) == AliasMove(3, 4)
    client.set_registered_model_alias("m", "champion", "1")
    assert promote(store, 4) == AliasMove(4, 1)
    assert aliases(store) == {"champion": "4", "previous": "1"}
    client.delete_registered_model_alias("m", "champion")
    assert registry.find_champion(store) is None
    with pytest.raises(ModelError, match="no champion to roll back; version 4 was the last one"):
        roll_back_champion(store)


def test_a_verdict_is_about_one_version(store: Store) -> None:
    make_versions(store, 2)
    with pytest.raises(ModelError, match=r"models:/m/1 has no verdict.*headrace evaluate"):
        read_verdict(store, version(1))
    with start_run(store, "r") as run:
        run.log_text('{"model": "models:/m/1", "passed": true}', "v.json")
    for passed, word in ((False, "failed"), (None, "not judged"), (True, "passed")):
        record_verdict(store, version(1), "v.json", passed=passed)
        tags = open_client(store).get_model_version("m", "1").tags
        assert tags["headrace.verdict"] == word
    record_verdict(store, version(2), "v.json", passed=True)
    assert read_verdict(store, version(1, run.run_id))["passed"]
    with pytest.raises(ModelError, match="is about models:/m/1, not models:/m/2"):
        read_verdict(store, version(2, run.run_id))


def test_aliases_that_outlive_their_versions_are_as_good_as_none(store: Store) -> None:
    """Some servers leave the aliases of deleted versions."""
    make_versions(store, 4)
    for number in (1, 2, 3, 4):
        promote(store, number)
    client = open_client(store)
    for alias, number in (("champion", "4"), ("previous", "3")):
        client.delete_model_version("m", number)
        with sqlite3.connect(store.uri.removeprefix("sqlite:///")) as database:
            database.execute(
                "INSERT INTO registered_model_aliases (name, alias, version) VALUES ('m', ?, ?)",
                (alias, int(number)),
            )
    with pytest.raises(ModelError, match=r"version 4, was deleted.*version 2 the champion again"):
        registry.find_champion(store)
    assert roll_back_champion(store) == AliasMove(2, 4, (3,))
    assert aliases(store) == {"champion": "2", "previous": "1"}
