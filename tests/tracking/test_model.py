"""Model versions are found by number, alias or as the newest, and only where Headrace made them.

That a registered model predicts is tested in `model_code/test_raw_model.py`.
"""

import json
from types import SimpleNamespace
from typing import Any

import mlflow
import pytest

from headrace.errors import ModelError
from headrace.formats import MODEL
from headrace.tracking.model import (
    ModelVersion,
    RawInput,
    _choose_column_type,
    _parse_model_uri,
    download_model_file,
    find_model,
    tag_model,
)
from headrace.tracking.store import Store, open_client


@pytest.fixture
def metadata(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The metadata of every registered model; a version here has no files behind it."""
    entries = {"headrace": json.dumps({MODEL.key: MODEL.current, "dataset_version": 4})}
    monkeypatch.setattr(
        mlflow.models, "get_model_info", lambda uri: SimpleNamespace(metadata=entries)
    )
    return entries


@pytest.fixture
def versions(store: Store) -> Store:
    """Eleven versions of the model, the second of which has an alias."""
    client = open_client(store)
    client.create_registered_model("m")
    for number in range(11):
        client.create_model_version("m", "file:///nowhere", run_id=f"run{number + 1}")
    client.set_registered_model_alias("m", "champion", "2")
    return store


@pytest.mark.parametrize(
    ("uri", "number"),
    [(None, 11), ("models:/m/3", 3), ("models:/m@champion", 2)],  # by number 11 is above 9
)
@pytest.mark.usefixtures("metadata")
def test_a_version_is_found(versions: Store, uri: str | None, number: int) -> None:
    model = find_model(versions, uri)
    assert model == ModelVersion("m", number, f"run{number}", {"dataset_version": 4})
    assert model.uri == f"models:/m/{number}"


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("models:/m/12", r"^model models:/m/12: .*not found"),
        ("models:/m@nobody", r"^model models:/m@nobody: .*nobody"),
        ("runs:/abc/model", "is no model URI, expected models:/NAME/VERSION or models:/NAME@ALIAS"),
        ("models:/", "is no model URI"),
    ],
)
@pytest.mark.usefixtures("metadata")
def test_a_version_that_does_not_exist_is_named(versions: Store, uri: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        find_model(versions, uri)


def test_a_model_without_versions_says_what_to_run(store: Store) -> None:
    with pytest.raises(ModelError, match=r"no version of model 'm' .*run `headrace train` first"):
        find_model(store)


def test_a_model_of_another_program_is_refused(versions: Store, metadata: dict[str, str]) -> None:
    del metadata["headrace"]
    with pytest.raises(ModelError, match="models:/m/11 was not registered by Headrace; train one"):
        find_model(versions)


def test_a_model_of_a_newer_headrace_is_refused(versions: Store, metadata: dict[str, str]) -> None:
    metadata["headrace"] = json.dumps({MODEL.key: MODEL.current + 1})
    with pytest.raises(ModelError, match=r"models:/m/11 is of format .* a newer Headrace wrote it"):
        find_model(versions)


def test_tags_are_those_of_the_version(versions: Store) -> None:
    tag_model(versions, ModelVersion("m", 3, "run3", {}), {"gate": "passed"})
    client = open_client(versions)
    assert client.get_model_version("m", "3").tags == {"gate": "passed"}
    assert client.get_model_version("m", "4").tags == {}


@pytest.mark.parametrize(
    ("name", "file"), [("keras_model", "model.keras"), ("saved_model", "saved_model")]
)
def test_files_have_their_names_in_the_model(
    store: Store, monkeypatch: pytest.MonkeyPatch, name: str, file: str
) -> None:
    def download(artifact_uri: str, dst_path: str) -> str:
        return f"{dst_path}/{artifact_uri}"

    monkeypatch.setattr(mlflow.artifacts, "download_artifacts", download)
    model = ModelVersion("m", 3, "run3", {})
    path = download_model_file(store, model, name, "/folder")
    assert path == f"/folder/models:/m/3/artifacts/{file}"


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("models:/a/3", ("a", "3")),
        ("models:/a@best", ("a", "@best")),
        ("models:/a", ("a", "")),
        ("models:/a.b c/10", ("a.b c", "10")),
    ],
)
def test_a_model_uri_is_a_name_and_a_version_or_alias(uri: str, expected: Any) -> None:
    assert _parse_model_uri(uri) == expected


def test_all_columns_but_reals_are_strings_which_mlflow_hands_on_as_they_come() -> None:
    from mlflow.types import DataType

    assert _choose_column_type(RawInput("a", "real")) == DataType.double
    for kind in ("string", "integer", "timestamp", "bytes", "integers", "reals", "strings"):
        assert _choose_column_type(RawInput("a", kind)) == DataType.string
