"""Move the model registry's aliases, and record verdicts: which version is the champion, and why.

`champion` is the version to score with, `previous` the champion before it. MLflow's registry has no
transactions, so a change is a row of steps, after each of which both aliases name versions that
exist:

1. All that the change needs is read and checked.
2. The intended champions are written to the record, a tag of the registered model.
3. The alias `champion` is moved: the step that takes effect.
4. `previous` is moved and the intention becomes the record, until they are seen to agree.

The alias decides what the champion is, whoever moved it; see `ChampionRecord.reconcile`. The next
command, best the same one again, finds and completes what an interrupted one left. Of two at once,
each reads in the end what both have written, and the one that did not prevail says so. Judging a
model is left to `evaluate/`.
"""

import contextlib
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from headrace.errors import ModelError
from headrace.formats import VERDICT
from headrace.tracking.champion_record import ChampionRecord
from headrace.tracking.faults import explain_fault
from headrace.tracking.model import ModelVersion, find_model, tag_model
from headrace.tracking.registered_model import CHAMPION, RegisteredModel
from headrace.tracking.store import Store, open_patient_client

_VERDICT, _VERDICT_PATH = "headrace.verdict", "headrace.verdict_path"
_ROUNDS = 20  # of reading and mending: for each, another command has to have written in between


@dataclass(frozen=True)
class AliasMove:
    """The champion after and before a move of the alias.

    Attributes:
        champion: version that is the champion now.
        before: version that was the champion before; None where there was none.
        skipped: earlier champions that a rollback passed over, because they were deleted in MLflow.
    """

    champion: int
    before: int | None
    skipped: tuple[int, ...] = ()


def find_champion(store: Store) -> ModelVersion | None:
    """Find the champion of the recipe's registered model; None where there is none.

    Raises:
        ModelError: the champion was deleted in MLflow and there is an earlier one, or it cannot be
            read.
    """
    with _explain_faults(store, "the champion cannot be found"):
        model = RegisteredModel.read(store)
        if model.champion is not None and model.exists(model.champion):
            return find_model(store, _format_uri(store, model.champion))
        deleted = model.find_deleted_champion()
        earlier = () if deleted is None else model.list_existing(model.list_champions(), 1)
        if not earlier:
            return None
    raise ModelError(
        f"{model.describe_champion(deleted)} was deleted in MLflow; run `headrace rollback`, which "
        f"makes version {earlier[0]} the champion again"
    )


def record_verdict(store: Store, model: ModelVersion, path: str, *, passed: bool | None) -> None:
    """Record the verdict on a model version as its tags.

    Args:
        store: store that the model is registered in.
        model: the version judged.
        path: artifact of the model's run that has the reasons.
        passed: the verdict; None where there was no gate.
    """
    word = {True: "passed", False: "failed", None: "not judged"}[passed]
    tag_model(store, model, {_VERDICT_PATH: path, _VERDICT: word})


def read_verdict(store: Store, model: ModelVersion) -> dict[str, Any]:
    """Read the newest verdict on a model version.

    Raises:
        ModelError: there is none, or it is about another version.
    """
    client = open_patient_client(store)
    tags = client.get_model_version(model.name, str(model.version)).tags
    path = tags.get(_VERDICT_PATH)
    if path is None:
        raise ModelError(
            f"model {model.uri} has no verdict, so it cannot be promoted; run `headrace evaluate` "
            f"with --model {model.uri}"
        )
    with tempfile.TemporaryDirectory(prefix="headrace-verdict-") as folder:
        file = client.download_artifacts(model.run_id, path, folder)
        text = Path(file).read_text(encoding="utf-8", errors="replace")
    where = f"the verdict at {path} of run {model.run_id}"
    try:
        tree = json.loads(text)
    except ValueError as error:
        raise ModelError(
            f"{where} is damaged ({error}); run `headrace evaluate` with --model {model.uri} again"
        ) from None
    verdict = VERDICT.migrate_tree(tree, where, ModelError)
    if verdict.get("model") != model.uri:
        raise ModelError(
            f"the verdict at {path} of run {model.run_id} is about {verdict.get('model')}, not "
            f"{model.uri}; run `headrace evaluate` with --model {model.uri}"
        )
    return verdict


def promote_model(
    store: Store, model: ModelVersion, compared_with: ModelVersion | None
) -> AliasMove:
    """Make a version the champion; the champion before it becomes `previous`.

    A promotion of it that was interrupted is completed.

    Args:
        store: store that the model is registered in.
        model: the version.
        compared_with: the champion that it was compared with, or itself.

    Raises:
        ModelError: the version was deleted, or the champion is another one than `compared_with`, or
            becomes it at the same time; then this command changes nothing.
    """
    with _explain_faults(store, f"model {model.uri} cannot be promoted"):
        registered = RegisteredModel.read(store)
        if not registered.exists(model.version):
            raise ModelError(
                f"model {model.uri} was deleted in MLflow; the champion is not changed"
            )
        champions, fix = registered.list_champions(), f"with --model {model.uri}"
        if registered.champion == model.version:
            before: int | None = model.version
            if registered.record.intended == champions:  # what remains of an interrupted promotion
                existing = registered.list_existing(champions, 2)
                before = existing[0] if len(existing) == 2 else None
            _settle(registered)
            return AliasMove(model.version, before)
        expected = compared_with.version if compared_with else None
        if registered.champion != expected:
            raise ModelError(
                f"model {model.uri} was compared with {_describe_version(expected)}, and the "
                f"champion is {_describe_version(registered.champion)} now; the champion is not "
                f"changed. Run `headrace evaluate` {fix} again"
            )
        before = registered.champion
        target = (*champions, model.version)
        _move_champion(registered, champions, target)
        _settle(registered, target)
        return AliasMove(model.version, before)


def roll_back_champion(store: Store) -> AliasMove:
    """Make the champion before the champion the champion again.

    Champions that were deleted in MLflow are passed over. Where the champion itself was deleted, it
    is the newest that exists. A rollback that was interrupted is completed, and goes no further.

    Raises:
        ModelError: there is no champion, none before it, or the one before it cannot be read, or
            another command moved the champion at the same time; then this command changes nothing.
    """
    with _explain_faults(store, "the champion cannot be rolled back"):
        registered = RegisteredModel.read(store)
        champions, target = _find_rollback_target(registered)
        champion, before = target[-1], champions[-1] or None
        try:
            find_model(store, _format_uri(store, champion))
        except ModelError as error:
            raise ModelError(
                f"{error}; nothing was moved. Repair version {champion}, or delete it in MLflow: "
                "then a rollback goes on to the champion before it"
            ) from None
        if registered.champion != champion:
            _move_champion(registered, champions, target)
        if before is not None:
            registered.tag_rollback(before, _format_now())
        _settle(registered, target)
        passed_over = champions[len(target) :]
        skipped = {v for v in passed_over if v not in (before, 0) and not registered.exists(v)}
        return AliasMove(champion, before, tuple(sorted(skipped, reverse=True)))


def _find_rollback_target(registered: RegisteredModel) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the champions before and after a rollback.

    Raises:
        ModelError: there is no champion, or none before it.
    """
    record, champion = registered.record, registered.champion
    deleted_champion = registered.find_deleted_champion()
    if record.is_rollback and record.intended and registered.exists(record.intended[-1]):
        is_untouched = champion in (record.intended[-1], record.champions[-1])
        if is_untouched or deleted_champion == record.champions[-1]:
            return record.champions, record.intended
    champions = registered.list_champions()
    if champion is None and deleted_champion is None:
        last = f"; version {champions[-1]} was the last one: promote it" if champions else ""
        raise ModelError(f"{registered} has no champion to roll back{last}")
    if champion is None and deleted_champion is not None and deleted_champion != champions[-1]:
        # Its promotion had not been recorded.
        champions = (*champions, deleted_champion)
    target = champions[:-1]
    while target and (target[-1] == champions[-1] or not registered.exists(target[-1])):
        target = target[:-1]
    if not target:
        deleted = sorted({v for v in champions[:-1] if v and v != champions[-1]})
        listed = ", ".join(str(version) for version in deleted)
        raise ModelError(
            f"{registered} has no version before its champion"
            + (f", version {champions[-1]}" if champions[-1] else "")
            + (f"; deleted in MLflow: version {listed}" if deleted else "")
            + "; nothing was moved"
        )
    return champions, target


def _move_champion(
    registered: RegisteredModel, champions: tuple[int, ...], target: tuple[int, ...]
) -> None:
    """Record the intention and move the alias, unless another command moves it at the same time.

    Args:
        registered: as it was when the change was checked.
        champions, target: the champions before and after the change.

    Raises:
        ModelError: the champion is another one by now, or another change was begun.
    """
    from mlflow.exceptions import MlflowException

    intention = ChampionRecord(champions, target)
    registered.write_record(intention)
    now = registered.read_again()
    if now.champion == target[-1]:  # the other command makes the same change
        return
    is_own = now.record.format_text() == intention.format_text()
    if now.champion != registered.champion or not is_own:
        if is_own:  # a change that others have begun is theirs to complete
            _settle(registered)
        raise _make_conflict(now)
    try:
        if len(target) > len(champions):  # said first, as others may have to tell a promotion apart
            registered.tag_promotion(target[-1], registered.champion, _format_now())
        registered.set_alias(CHAMPION, target[-1])
    except MlflowException:
        with contextlib.suppress(MlflowException):  # that the alias cannot be moved says more
            _settle(registered)
        raise


def _settle(registered: RegisteredModel, target: tuple[int, ...] = ()) -> None:
    """Make `previous` and the record follow the champion, until they are seen to agree.

    Whoever writes last sees what all have written, so that the aliases agree in the end however
    many commands there are at once.

    Args:
        registered: the model.
        target: the champions that this command has made; empty where it has made none.

    Raises:
        ModelError: another version is the champion, or others go on moving the aliases.
    """
    from mlflow.exceptions import MlflowException

    for _ in range(_ROUNDS):
        registered = registered.read_again()
        is_own = bool(target) and registered.champion == target[-1]
        # Another command may have written over the intention, from which this one is known.
        champions = target if is_own else registered.list_champions()
        if registered.is_settled(champions):
            if target and not is_own:
                raise _make_conflict(registered)
            return
        try:
            registered.settle(champions)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":  # a version deleted a moment ago
                raise
    raise ModelError(
        f"other commands move the aliases of {registered} all the time; wait for them to end, and "
        "run this one again"
    )


def _make_conflict(registered: RegisteredModel) -> ModelError:
    return ModelError(
        f"another command changes the champion of {registered} at the same time: it is "
        f"{_describe_version(registered.champion)} now, and this command did not prevail. Look at "
        "the champion, then run `headrace evaluate` and `headrace promote` again, or `headrace "
        "rollback`"
    )


@contextlib.contextmanager
def _explain_faults(store: Store, outcome: str) -> Iterator[None]:
    """Raise what MLflow refuses as a `ModelError` that says what was not done."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            raise ModelError(
                f"{outcome}: {error.message}; somebody deleted it in MLflow meanwhile. Run the "
                "command again"
            ) from None
        raise ModelError(explain_fault(error, outcome, store.describe_addresses())) from error


def _describe_version(version: int | None) -> str:
    return "no champion" if version is None else f"version {version}"


def _format_uri(store: Store, version: int) -> str:
    return f"models:/{store.registered_model}/{version}"


def _format_now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")
