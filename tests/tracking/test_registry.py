"""The champion's alias: moved forwards and back, never half-way, in a real MLflow store."""

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


def aliases(store: Store) -> dict[str, str]:
    found = mlflow.MlflowClient(store.uri).get_registered_model("m").aliases
    return {name: str(version) for name, version in found.items()}


def test_several_promotions_are_rolled_back_one_by_one(store: Store) -> None:
    make_versions(store, 4)
    assert promote_model(store, version(1)) == AliasMove(1, None)
    assert promote_model(store, version(2)) == AliasMove(2, 1)
    assert promote_model(store, version(4)) == AliasMove(4, 2)
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
    promote_model(store, version(1))
    promote_model(store, version(2))
    assert promote_model(store, version(2)) == AliasMove(2, 2)
    assert aliases(store) == {"champion": "2", "previous": "1"}


def test_what_was_rolled_back_may_come_again(store: Store) -> None:
    make_versions(store, 2)
    promote_model(store, version(1))
    promote_model(store, version(2))
    roll_back_champion(store)
    assert promote_model(store, version(2)) == AliasMove(2, 1)
    assert aliases(store) == {"champion": "2", "previous": "1"}


def test_no_model_and_no_champion(store: Store) -> None:
    assert registry.find_champion(store) is None
    with pytest.raises(ModelError, match="no champion to roll back"):
        roll_back_champion(store)


def test_a_verdict_is_about_one_version(store: Store) -> None:
    make_versions(store, 2)
    with pytest.raises(ModelError, match=r"models:/m/1 has no verdict.*headrace evaluate"):
        read_verdict(store, version(1))
    with start_run(store, "r") as run:
        run.log_text('{"model": "models:/m/1", "passed": true}', "v.json")
    record_verdict(store, version(1), "v.json", passed=True)
    record_verdict(store, version(2), "v.json", passed=True)
    assert read_verdict(store, version(1, run.run_id))["passed"]
    with pytest.raises(ModelError, match="is about models:/m/1, not models:/m/2"):
        read_verdict(store, version(2, run.run_id))
