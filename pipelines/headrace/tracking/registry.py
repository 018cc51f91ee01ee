"""The model registry's aliases: which version is the champion, and how it became that.

`champion` is what is scored with, `previous` what it was before. Each promoted version has a tag
that names the version before it, so that several rollbacks find their way. MLflow's registry has no
transactions: two promotions at once leave the champion of the later one.
"""

import json
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from headrace.errors import ModelError
from headrace.formats import VERDICT
from headrace.tracking.model import ModelVersion, find_model
from headrace.tracking.store import Store, connect

CHAMPION, PREVIOUS = "champion", "previous"
_VERDICT, _VERDICT_PATH = "headrace.verdict", "headrace.verdict_path"
_BEFORE, _PROMOTED_AT, _ROLLED_BACK_AT = (
    "headrace.champion_before",
    "headrace.promoted_at",
    "headrace.rolled_back_at",
)


@dataclass(frozen=True)
class Moved:
    """What an alias was moved from and to.

    Attributes:
        champion: version that is the champion now.
        before: version that was, None where there was none.
    """

    champion: int
    before: int | None


def champion_of(store: Store) -> ModelVersion | None:
    """The champion of the recipe's registered model; None where there is none.

    Raises:
        ModelError: the alias is there, and what it names is not.
    """
    version = _alias(store, CHAMPION)
    return None if version is None else find_model(store, _uri(store, version))


def note_verdict(store: Store, model: ModelVersion, path: str, *, passed: bool) -> None:
    """Say with a model version what was decided about it, and which artifact has the reasons."""
    client = connect(store)
    for key, value in {_VERDICT_PATH: path, _VERDICT: "passed" if passed else "failed"}.items():
        client.set_model_version_tag(model.name, str(model.version), key, value)


def verdict_of(store: Store, model: ModelVersion) -> dict[str, Any]:
    """The newest verdict about a model version.

    Raises:
        ModelError: there is none, or it is about another version.
    """
    client = connect(store)
    tags = client.get_model_version(model.name, str(model.version)).tags
    path = tags.get(_VERDICT_PATH)
    if path is None:
        raise ModelError(
            f"model {model.uri} has no verdict, so it cannot be promoted; run `headrace evaluate` "
            f"with --model {model.uri}"
        )
    with tempfile.TemporaryDirectory(prefix="headrace-verdict-") as folder:
        found = client.download_artifacts(model.run_id, path, folder)
        text = Path(found).read_text(encoding="utf-8")
    decided = VERDICT.migrated(
        json.loads(text), f"the verdict at {path} of run {model.run_id}", ModelError
    )
    if decided.get("model") != model.uri:
        raise ModelError(
            f"the verdict at {path} of run {model.run_id} is about {decided.get('model')}, not "
            f"{model.uri}; run `headrace evaluate` with --model {model.uri}"
        )
    return decided


def promote(store: Store, model: ModelVersion) -> Moved:
    """Make a version the champion; the one before becomes `previous`."""
    client = connect(store)
    before = _alias(store, CHAMPION)
    if before == model.version:
        return Moved(model.version, before)
    name, version = model.name, str(model.version)
    client.set_model_version_tag(name, version, _BEFORE, "" if before is None else str(before))
    client.set_model_version_tag(name, version, _PROMOTED_AT, _now())
    if before is not None:
        client.set_registered_model_alias(name, PREVIOUS, str(before))
    client.set_registered_model_alias(name, CHAMPION, version)  # the one step that counts
    return Moved(model.version, before)


def roll_back(store: Store) -> Moved:
    """Make the version before the champion the champion again.

    Raises:
        ModelError: there is no champion, or none before it.
    """
    client = connect(store)
    name = store.registered_model
    current, previous = _alias(store, CHAMPION), _alias(store, PREVIOUS)
    if current is None:
        raise ModelError(f"model {name} in {store.shown} has no champion to roll back")
    if previous is None:
        raise ModelError(
            f"model {name} has no version before its champion, version {current}; nothing was moved"
        )
    find_model(store, _uri(store, previous))  # it must still be there
    client.set_registered_model_alias(name, CHAMPION, str(previous))
    client.set_model_version_tag(name, str(current), _ROLLED_BACK_AT, _now())
    before = client.get_model_version(name, str(previous)).tags.get(_BEFORE, "")
    if before:
        client.set_registered_model_alias(name, PREVIOUS, before)
    else:
        client.delete_registered_model_alias(name, PREVIOUS)
    return Moved(previous, current)


def _alias(store: Store, alias: str) -> int | None:
    from mlflow.exceptions import MlflowException

    client = connect(store)
    try:
        found = client.get_registered_model(store.registered_model)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise ModelError(
            f"model {store.registered_model} in {store.shown}: {error.message}"
        ) from None
    version = found.aliases.get(alias)
    return None if version is None else int(version)


def _uri(store: Store, version: int) -> str:
    return f"models:/{store.registered_model}/{version}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
