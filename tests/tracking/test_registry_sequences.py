"""Random sequences of promotions, rollbacks and deletions, killed and at once, in a real registry.

After each step both aliases name versions that exist. What a step that ran to its end leaves is
compared with a list of champions, kept here by a bare loop.
"""

import random
import sqlite3
import threading
from collections.abc import Callable, Iterator
from typing import Any

import mlflow
import pytest
import yaml

from headrace.errors import ModelError
from headrace.tracking import registered_model
from headrace.tracking.model import ModelVersion
from headrace.tracking.registry import (
    AliasMove,
    find_champion,
    promote_model,
    roll_back_champion,
)
from headrace.tracking.store import Store, open_client, open_patient_client
from tests.mlflow_store import copy_empty_store

VERSIONS, SEQUENCES, STEPS = 4, 200, 4


class Killed(BaseException):
    """The process ends between two calls."""


class WatchedClient:
    """MLflow's client; `before_call` is called first, each time, and may kill."""

    before_call: Callable[[], None] = staticmethod(lambda: None)
    threads = threading.local()

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        def call(*values: Any, **options: Any) -> Any:
            getattr(WatchedClient.threads, "before_call", WatchedClient.before_call)()
            return getattr(self._client, name)(*values, **options)

        return call


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Store]:
    """From the name of a model to the store that has it: versions of a readable model."""
    folder = tmp_path_factory.mktemp("registry")
    file = copy_empty_store(folder / "m.db")
    with sqlite3.connect(file) as database:
        database.execute("PRAGMA journal_mode = WAL")  # writes cost half as much
    source = folder / "model"
    source.mkdir()
    flavor = {"python_function": {"loader_module": "nowhere", "python_version": "3"}}
    (source / "MLmodel").write_text(
        yaml.safe_dump({"flavors": flavor, "metadata": {"headrace": "{}"}, "model_uuid": "u"})
    )

    def make(name: str) -> Store:
        store = Store(f"sqlite:///{file}", "e", name, f"file://{folder}/a")
        client = open_client(store)
        client.create_registered_model(name)
        for _ in range(VERSIONS):
            client.create_model_version(name, str(source))
        return store

    return make


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The registry's calls go through a `WatchedClient`."""
    monkeypatch.setattr(
        registered_model,
        "open_patient_client",
        lambda store: WatchedClient(open_patient_client(store)),
    )
    yield


class Sequence:
    """One model, and what is known of it without the registry's record."""

    def __init__(self, store: Store, seed: int) -> None:
        self.store, self.random = store, random.Random(seed)
        self.client = mlflow.MlflowClient(store.uri)
        self.existing = set(range(1, VERSIONS + 1))
        self.champions: list[int] = []  # the present one last; deleted ones stay
        self.log: list[str] = []

    # --- what should be ---------------------------------------------------------------------------
    def after(self, champions: list[int], version: int | None) -> list[int] | None:
        """Return the champions after a promotion of a version, or a rollback; None if refused."""
        if version is not None:
            refused = version not in self.existing or self.is_lost(champions)
            return None if refused else champions + [version] * (champions[-1:] != [version])
        rest = champions[:-1]
        while rest and (rest[-1] == champions[-1] or rest[-1] not in self.existing):
            rest = rest[:-1]
        return rest or None

    def is_lost(self, champions: list[int]) -> bool:
        """Return whether the champion was deleted and an earlier one was not."""
        gone = bool(champions) and champions[-1] not in self.existing
        return gone and any(version in self.existing for version in champions)

    def expected_aliases(self) -> dict[str, int]:
        if not self.champions or self.champions[-1] not in self.existing:
            return {}
        rest = self.after(self.champions, None)
        return {"champion": self.champions[-1], **({"previous": rest[-1]} if rest else {})}

    # --- what is ----------------------------------------------------------------------------------
    def aliases(self) -> dict[str, int]:
        found = self.client.get_registered_model(self.store.registered_model).aliases
        aliases = {name: int(version) for name, version in found.items()}
        assert set(aliases.values()) <= self.existing, self.log
        return aliases

    def run(self, version: int | None) -> AliasMove:
        """Promote as `headrace promote` does, or roll back."""
        if version is None:
            return roll_back_champion(self.store)
        model = ModelVersion(self.store.registered_model, version, "r", {})
        return promote_model(self.store, model, find_champion(self.store))

    # --- steps ------------------------------------------------------------------------------------
    def choose(self) -> int | None:
        return self.random.choice([None, None, *range(1, VERSIONS + 1)])

    def step(self) -> None:
        kinds = (self.act, self.act, self.delete, self.act_killed, self.act_at_once)
        self.random.choice(kinds)()

    def act(self, version: Any = "any") -> None:
        version = self.choose() if version == "any" else version
        self.log.append(f"act {version}")
        before, after = self.aliases(), self.after(self.champions, version)
        if after is None:
            with pytest.raises(ModelError, match=r"deleted|no version before|no champion"):
                self.run(version)
            assert self.aliases() == before, self.log
            return
        move = self.run(version)
        self.champions = after
        assert move.champion == after[-1], self.log
        assert self.aliases() == self.expected_aliases(), self.log

    def delete(self) -> None:
        version = self.random.randint(1, VERSIONS)
        if version in self.existing and len(self.existing) > 2:
            self.log.append(f"delete {version}")
            self.existing.remove(version)
            self.client.delete_model_version(self.store.registered_model, str(version))
            champion = self.champions[-1:] == [version]
            self.check_champion()
            assert "champion" not in self.aliases() or not champion

    def check_champion(self) -> None:
        """What score and evaluate are told."""
        if self.is_lost(self.champions):
            with pytest.raises(ModelError, match="was deleted in MLflow; run `headrace rollback`"):
                find_champion(self.store)
        else:
            champion = find_champion(self.store)
            expected = self.expected_aliases().get("champion")
            assert (champion.version if champion else None) == expected, self.log

    def act_killed(self) -> None:
        """A command is killed before one of its calls, and run again."""
        version, calls = self.choose(), iter(range(self.random.randint(1, 14)))
        self.log.append(f"killed {version}")

        def kill() -> None:
            if next(calls, None) is None:
                raise Killed

        after = self.after(self.champions, version)
        WatchedClient.threads.before_call = kill
        try:
            self.run(version)
        except (Killed, ModelError):
            pass
        finally:
            del WatchedClient.threads.before_call
        self.aliases()
        model = registered_model.RegisteredModel.read(self.store)
        if (
            after is not None
            and model.is_settled(model.list_champions())
            and model.champion == after[-1]
        ):
            self.champions = after  # it had ended, or nothing was to be done
            assert self.aliases() == self.expected_aliases(), self.log
        else:
            self.act(version)

    def act_at_once(self) -> None:
        """Two commands whose calls take turns at random."""
        versions = [self.choose(), self.choose()]
        self.log.append(f"at once {versions}")
        before, singles = self.aliases(), [self.after(self.champions, v) for v in versions]
        outcomes = run_in_turns([lambda v=v: self.run(v) for v in versions], self.random)
        for outcome in outcomes:
            assert isinstance(outcome, AliasMove | ModelError), (self.log, outcome)
        moves = [outcome for outcome in outcomes if isinstance(outcome, AliasMove)]
        aliases = self.aliases()
        if not moves:
            assert singles == [None, None], (self.log, outcomes)
            assert aliases == before, self.log
            return
        assert aliases["champion"] in {move.champion for move in moves}, self.log
        model = registered_model.RegisteredModel.read(self.store)
        champions = list(model.list_champions())
        assert model.is_settled(tuple(champions)), self.log
        # One of them, or one after the other.
        possible = {tuple(single) for single in singles if single}
        for first, second in ((0, 1), (1, 0)):
            start = singles[first]
            if start and (then := self.after(start, versions[second])):
                possible.add(tuple(then))
        assert tuple(champions) in possible, (self.log, outcomes, possible)
        self.champions = champions
        assert aliases == self.expected_aliases(), self.log


def run_in_turns(commands: list[Callable[[], Any]], order: random.Random) -> list[Any]:
    """Run commands in threads of which one runs at a time, until its next call; return results."""
    turn, condition = [order.randrange(len(commands))], threading.Condition()
    running, results = set(range(len(commands))), [None] * len(commands)

    def pass_on() -> None:
        turn[0] = order.choice(sorted(running)) if running else -1
        condition.notify_all()

    def run(number: int) -> None:
        def take_turn() -> None:
            with condition:
                pass_on()
                condition.wait_for(lambda: turn[0] == number)

        WatchedClient.threads.before_call = take_turn
        with condition:
            condition.wait_for(lambda: turn[0] == number)
        try:
            results[number] = commands[number]()
        except BaseException as error:
            results[number] = error
        with condition:
            running.discard(number)
            pass_on()

    threads = [threading.Thread(target=run, args=[i], daemon=True) for i in running]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    return results


@pytest.mark.usefixtures("watched")
@pytest.mark.parametrize(
    "tens",
    # A call of MLflow costs 4 ms, and all sequences minutes.
    [2, *(pytest.param(n, marks=pytest.mark.long) for n in range(SEQUENCES // 10) if n != 2)],
)
def test_both_aliases_name_versions_that_exist(stores: Callable[[str], Store], tens: int) -> None:
    for seed in range(10 * tens, 10 * tens + 10):
        sequence = Sequence(stores(f"m{seed}"), seed)
        sequence.act(1)
        sequence.act(2)
        for _ in range(STEPS):
            sequence.step()
        sequence.check_champion()
