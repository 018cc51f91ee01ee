"""The champion's alias: moved forwards and back, never half-way, in a real MLflow store."""

from pathlib import Path

import mlflow
import pytest

from headrace.errors import ModelError
from headrace.tracking import registry
from headrace.tracking.model import ModelVersion
from headrace.tracking.registry import Moved, note_verdict, promote, roll_back, verdict_of
from headrace.tracking.run import start_run
from headrace.tracking.store import Store, connect


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    store = Store(f"sqlite:///{tmp_path}/m.db", "e", "m", f"file://{tmp_path}/a")
    # What is looked up is a version alone here, without a model behind it.
    monkeypatch.setattr(registry, "find_model", lambda store, uri: version(int(uri[-1])))
    return store


def version(number: int, run_id: str = "r") -> ModelVersion:
    return ModelVersion("m", number, run_id, {})


def make_versions(store: Store, count: int) -> None:
    client = connect(store)
    client.create_registered_model("m")
    for _ in range(count):
        client.create_model_version("m", "file:///nowhere")


def aliases(store: Store) -> dict[str, str]:
    found = mlflow.MlflowClient(store.uri).get_registered_model("m").aliases
    return {name: str(version) for name, version in found.items()}


def test_several_promotions_are_rolled_back_one_by_one(store: Store) -> None:
    make_versions(store, 4)
    assert promote(store, version(1)) == Moved(1, None)
    assert promote(store, version(2)) == Moved(2, 1)
    assert promote(store, version(4)) == Moved(4, 2)
    assert aliases(store) == {"champion": "4", "previous": "2"}
    assert roll_back(store) == Moved(2, 4)
    assert aliases(store) == {"champion": "2", "previous": "1"}
    assert roll_back(store) == Moved(1, 2)
    assert aliases(store) == {"champion": "1"}
    with pytest.raises(ModelError, match="no version before its champion, version 1"):
        roll_back(store)
    assert aliases(store) == {"champion": "1"}


def test_a_champion_is_promoted_once(store: Store) -> None:
    make_versions(store, 2)
    promote(store, version(1))
    promote(store, version(2))
    assert promote(store, version(2)) == Moved(2, 2)
    assert aliases(store) == {"champion": "2", "previous": "1"}


def test_what_was_rolled_back_may_come_again(store: Store) -> None:
    make_versions(store, 2)
    promote(store, version(1))
    promote(store, version(2))
    roll_back(store)
    assert promote(store, version(2)) == Moved(2, 1)
    assert aliases(store) == {"champion": "2", "previous": "1"}


def test_no_model_and_no_champion(store: Store) -> None:
    assert registry.champion_of(store) is None
    with pytest.raises(ModelError, match="no champion to roll back"):
        roll_back(store)


def test_a_verdict_is_about_one_version(store: Store) -> None:
    make_versions(store, 2)
    with pytest.raises(ModelError, match=r"models:/m/1 has no verdict.*headrace evaluate"):
        verdict_of(store, version(1))
    with start_run(store, "r") as run:
        run.text('{"model": "models:/m/1", "passed": true}', "v.json")
    note_verdict(store, version(1), "v.json", passed=True)
    note_verdict(store, version(2), "v.json", passed=True)
    assert verdict_of(store, version(1, run.run_id))["passed"]
    with pytest.raises(ModelError, match="is about models:/m/1, not models:/m/2"):
        verdict_of(store, version(2, run.run_id))
