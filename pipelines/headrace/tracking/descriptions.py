"""Describe runs, registered models and their versions in words, where MLflow shows them.

A description that somebody wrote or changed in MLflow is never replaced: a tag has the digest of
the one that was written here.
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from headrace.errors import get_first_line
from headrace.progress import Progress
from headrace.redaction import redact_text
from headrace.tracking.store import Store, log_waiting, open_patient_client

_NOTE = "mlflow.note.content"
_DIGEST = "headrace.description"
"""Tag with the digest of the description that Headrace wrote."""
# Of a description, in MLflow's database.
_MOST_CHARACTERS = 5000
_CUT = "\n\n… (the artifacts of the run have all of it)\n"


def describe_run(client: Any, run_id: str, text: str) -> None:
    """Describe a run.

    Args:
        client: of MLflow.
        run_id: of the run.
        text: Markdown, without secrets afterwards.
    """
    from mlflow.entities import RunTag

    text = _limit(redact_text(text))
    tags = client.get_run(run_id).data.tags
    if _is_ours(tags.get(_NOTE), tags):
        new = [RunTag(_NOTE, text), RunTag(_DIGEST, _compute_digest(text))]
        client.log_batch(run_id, tags=new)


def read_run_description(client: Any, run_id: str) -> str:
    """Read the description of a run; "" where it has none."""
    return str(client.get_run(run_id).data.tags.get(_NOTE, ""))


def describe_version(store: Store, name: str, version: int, text: str) -> None:
    """Describe a version of a registered model; see `describe_run`.

    A registry that refuses it is told of: a description is no reason to end a training.
    """
    client, text, number = open_patient_client(store), _limit(redact_text(text)), str(version)
    with _report_refusal(f"version {version} of model {name}"):
        entity = client.get_model_version(name, number)
        if _is_ours(entity.description, entity.tags):
            client.update_model_version(name, number, text)
            client.set_model_version_tag(name, number, _DIGEST, _compute_digest(text))


def describe_registered_model(store: Store, name: str, text: str) -> None:
    """Describe a registered model; see `describe_version`."""
    client, text = open_patient_client(store), _limit(redact_text(text))
    with _report_refusal(f"model {name}"):
        entity = client.get_registered_model(name)
        if _is_ours(entity.description, entity.tags):
            client.update_registered_model(name, text)
            client.set_registered_model_tag(name, _DIGEST, _compute_digest(text))


@contextmanager
def _report_refusal(what: str) -> Iterator[None]:
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        reason = redact_text(get_first_line(error))[:300]
        log_waiting(Progress(f"{what} has no description, MLflow refused it: {reason}"))


def _limit(text: str) -> str:
    """Return a text that MLflow takes: a longer one ends with the last line that fits."""
    if len(text) <= _MOST_CHARACTERS:
        return text
    kept = text[: _MOST_CHARACTERS - len(_CUT)]
    return kept.rpartition("\n")[0] + _CUT


def _is_ours(description: str | None, tags: Mapping[str, str]) -> bool:
    """Return whether a description is still the one that was written here, or there is none."""
    return not description or _compute_digest(description) == tags.get(_DIGEST)


def _compute_digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
