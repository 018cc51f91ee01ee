"""Move the model registry's aliases, and record verdicts: which version is the champion, and why.

`champion` is the version to score with, `previous` the champion before it. Each promoted version
has a tag with the version before it, so that several rollbacks in a row work. MLflow's registry has
no transactions: of two promotions at once the later one decides. Judging a model is left to
`evaluate/`.
"""

import json
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from headrace.errors import ModelError
from headrace.formats import VERDICT
from headrace.tracking.model import ModelVersion, find_model, tag_model
from headrace.tracking.store import Store, open_patient_client

CHAMPION, PREVIOUS = "champion", "previous"
_VERDICT, _VERDICT_PATH = "headrace.verdict", "headrace.verdict_path"
_BEFORE, _PROMOTED_AT, _ROLLED_BACK_AT = (
    "headrace.champion_before",
    "headrace.promoted_at",
    "headrace.rolled_back_at",
)


@dataclass(frozen=True)
class AliasMove:
    """The champion after and before a move of the alias.

    Attributes:
        champion: version that is the champion now.
        before: version that was the champion before; None where there was none.
    """

    champion: int
    before: int | None


def find_champion(store: Store) -> ModelVersion | None:
    """Find the champion of the recipe's registered model; None where there is none.

    Raises:
        ModelError: the alias exists, and the version that it names does not.
    """
    version = _find_alias(store, CHAMPION)
    return None if version is None else find_model(store, _format_uri(store, version))


def record_verdict(store: Store, model: ModelVersion, path: str, *, passed: bool) -> None:
    """Record the verdict on a model version as its tags.

    Args:
        store: store that the model is registered in.
        model: the version judged.
        path: artifact of the model's run that has the reasons.
        passed: the verdict.
    """
    tag_model(store, model, {_VERDICT_PATH: path, _VERDICT: "passed" if passed else "failed"})


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


def promote_model(store: Store, model: ModelVersion) -> AliasMove:
    """Make a version the champion; the champion before it becomes `previous`."""
    client = open_patient_client(store)
    before = _find_alias(store, CHAMPION)
    if before == model.version:
        return AliasMove(model.version, before)
    name, version = model.name, str(model.version)
    client.set_model_version_tag(name, version, _BEFORE, "" if before is None else str(before))
    client.set_model_version_tag(name, version, _PROMOTED_AT, _format_now())
    if before is not None:
        client.set_registered_model_alias(name, PREVIOUS, str(before))
    client.set_registered_model_alias(name, CHAMPION, version)  # the step that takes effect
    return AliasMove(model.version, before)


def roll_back_champion(store: Store) -> AliasMove:
    """Make the version before the champion the champion again.

    Raises:
        ModelError: there is no champion, or none before it.
    """
    client = open_patient_client(store)
    name = store.registered_model
    current, previous = _find_alias(store, CHAMPION), _find_alias(store, PREVIOUS)
    if current is None:
        raise ModelError(f"model {name} in {store.redacted_uri} has no champion to roll back")
    if previous is None:
        raise ModelError(
            f"model {name} has no version before its champion, version {current}; nothing was moved"
        )
    find_model(store, _format_uri(store, previous))  # raises where it was deleted
    client.set_registered_model_alias(name, CHAMPION, str(previous))
    client.set_model_version_tag(name, str(current), _ROLLED_BACK_AT, _format_now())
    before = client.get_model_version(name, str(previous)).tags.get(_BEFORE, "")
    if before:
        client.set_registered_model_alias(name, PREVIOUS, before)
    else:
        client.delete_registered_model_alias(name, PREVIOUS)
    return AliasMove(previous, current)


def _find_alias(store: Store, alias: str) -> int | None:
    """Find the version that an alias of the recipe's registered model names; None without one."""
    from mlflow.exceptions import MlflowException

    client = open_patient_client(store)
    try:
        registered_model = client.get_registered_model(store.registered_model)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise ModelError(
            f"model {store.registered_model} in {store.redacted_uri}: {error.message}"
        ) from None
    version = registered_model.aliases.get(alias)
    return None if version is None else int(version)


def _format_uri(store: Store, version: int) -> str:
    return f"models:/{store.registered_model}/{version}"


def _format_now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
