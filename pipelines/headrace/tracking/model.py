"""Register a trained model as an MLflow model that takes raw rows, and find it again.

MLflow's Keras and TensorFlow flavours refuse column signatures and string tensors. What works is
a SavedModel wrapped by a pyfunc from code (`raw_model.py`) with a column signature. Aliases and
verdicts are left to `registry.py`.
"""

import contextlib
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from headrace.errors import ModelError
from headrace.formats import MODEL
from headrace.labels.kind import LabelKind
from headrace.processes import write_no_bytecode
from headrace.progress import Report, ignore_progress
from headrace.tracking.environment import never_repeat_requests
from headrace.tracking.faults import wait_out
from headrace.tracking.run import TrackedRun
from headrace.tracking.store import Store, log_waiting, open_client, open_patient_client

if TYPE_CHECKING:
    import pandas as pd

# On a cluster the package may be a zip from --py-files.
CODE_FILE = "raw_model.py"
_CODE = resources.files("headrace.tracking") / "model_code" / CODE_FILE
_FACTS = "headrace"
REASON = "reason"
"""Column of the served model that says why a row has no prediction."""
TEXTS = "texts"
"""Key of the folder with vocabularies that lie in files beside the transform."""
FILE_NAMES = {
    "saved_model": "saved_model",
    "network": "network",
    "keras_model": "model.keras",
    "transform": "transform.json",
    TEXTS: "texts",
    "golden": "golden.parquet",
    "reference": "reference.json",
    "top_k": "top_k",
}
"""Names of the files of `register_version` below `artifacts`, by key."""


@dataclass(frozen=True)
class RawInput:
    """A raw column of the signature.

    Attributes:
        name: of the column.
        kind: as `columns.values` reads it.
        is_required: whether a row without it is refused.
    """

    name: str
    kind: str
    is_required: bool = True


@dataclass(frozen=True)
class ModelVersion:
    """A registered model version, with what Headrace recorded in it.

    Attributes:
        name, version: name and number in the registry.
        run_id: the run that trained it.
        metadata: dataset root, version, digests and so on, as `register_version` got them.
    """

    name: str
    version: int
    run_id: str
    metadata: dict[str, Any]

    @property
    def uri(self) -> str:
        """Return `models:/name/version`."""
        return f"models:/{self.name}/{self.version}"


def register_version(
    run: TrackedRun,
    report: Report = ignore_progress,
    *,
    files: Mapping[str, str],
    kind: LabelKind,
    inputs: Sequence[RawInput],
    example: "pd.DataFrame",
    threshold: float | None,
    metadata: dict[str, Any],
    has_reasons: bool = False,
) -> ModelVersion:
    """Log the model to the run and register it as a new version.

    Args:
        run: the run that trained it.
        report: told where the server is waited for.
        files: local paths of `saved_model` and `network` (folders), `keras_model`, `transform`,
            `golden`, `reference`; `texts` (a folder) where the transform has files beside it, and
            of a two-tower model `top_k` (a folder).
        kind: kind of the label; decides what `predict` returns.
        inputs: the raw columns, in order.
        example: a few raw rows, as an input example.
        threshold: default of the `threshold` parameter of `predict`; None where the label has none.
        metadata: plain values that `ModelVersion.metadata` will have again.
        has_reasons: whether `predict` may give a reason in place of a prediction.

    Returns:
        The new version; that of the run, where it has one.
    """
    import mlflow
    from mlflow.exceptions import MlflowException
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

    types = kind.prediction_types
    outputs = [
        ColSpec(_choose_output_type(types[name]), name, required=not has_reasons)
        for name in kind.served_columns
    ]
    if has_reasons:
        outputs.append(ColSpec(DataType.string, REASON, required=False))
    signature = ModelSignature(
        inputs=Schema(
            [ColSpec(_choose_column_type(i), i.name, required=i.is_required) for i in inputs]
        ),
        outputs=Schema([*outputs]),
        params=ParamSchema(
            [] if threshold is None else [ParamSpec("threshold", DataType.double, threshold)]
        ),
    )
    packages = ("mlflow", "tensorflow", "keras", "numpy", "pandas")

    def log_model(code: Path) -> Any:
        # MLflow imports the code from the folder that it uploads: `model_check.remove_bytecode`.
        with _activate_run(run.run_id), write_no_bytecode():
            return mlflow.pyfunc.log_model(
                name="model",
                python_model=str(code),
                artifacts={name: str(path) for name, path in files.items()},
                signature=signature,
                input_example=example,
                pip_requirements=[f"{name}=={version(name)}" for name in packages],
                metadata={_FACTS: json.dumps({MODEL.key: MODEL.current, **metadata})},
            )

    client = open_client(run.store)
    name = run.store.registered_model

    def find_version() -> Any | None:
        found = client.search_model_versions(f"run_id = '{run.run_id}'")
        return next((item for item in found if item.name == name), None)

    def create_version() -> Any:
        try:
            client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        if model_version := find_version():  # of a request whose answer was lost
            return model_version
        with never_repeat_requests():  # a request whose answer is lost has made a version
            return client.create_model_version(
                name, info.model_uri, run_id=run.run_id, model_id=info.model_id
            )

    # A run has one model. It is there already where the process ended before it could say so.
    model_version = wait_out(find_version, report)
    if model_version is None:
        with resources.as_file(_CODE) as code, warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*[Aa]dd type hints")
            info = wait_out(lambda: log_model(code), report)
        model_version = wait_out(create_version, report)
    return ModelVersion(name, int(model_version.version), run.run_id, metadata)


def find_model(store: Store, uri: str | None = None) -> ModelVersion:
    """Find a model version.

    Args:
        store: store that it is registered in.
        uri: `models:/name/3` or `models:/name@alias`; by default the newest version of the
            recipe's registered model.

    Raises:
        ModelError: there is none, or Headrace did not register it.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    client = open_patient_client(store)
    try:
        name, selector = _parse_model_uri(uri) if uri else (store.registered_model, "")
        if selector.startswith("@"):
            model_version = client.get_model_version_by_alias(name, selector[1:])
        elif selector:
            model_version = client.get_model_version(name, selector)
        else:
            versions = client.search_model_versions(f"name = '{name}'")
            if not versions:
                raise ModelError(
                    f"no version of model {name!r} is registered in {store.redacted_uri}; "
                    "run `headrace train` first"
                )
            model_version = max(versions, key=lambda v: int(v.version))
        uri = f"models:/{name}/{model_version.version}"
        found = uri
        info = wait_out(lambda: mlflow.models.get_model_info(found), log_waiting)
        metadata = info.metadata or {}
    except MlflowException as error:
        raise ModelError(f"model {uri or store.registered_model}: {error.message}") from None
    if _FACTS not in metadata:
        raise ModelError(
            f"model {uri} was not registered by Headrace; train one with `headrace train`"
        )
    try:
        facts = json.loads(metadata[_FACTS])
    except (TypeError, ValueError) as error:
        raise ModelError(f"model {uri}: what Headrace recorded in it is damaged: {error}") from None
    values = MODEL.migrate_tree(facts, f"model {uri}", ModelError)
    del values[MODEL.key]
    return ModelVersion(name, int(model_version.version), str(model_version.run_id), values)


def download_model_file(store: Store, model: ModelVersion, name: str, folder: str) -> str:
    """Download one of the files of `register_version` below `folder`, and return its path."""
    import mlflow

    open_client(store)
    uri = f"{model.uri}/artifacts/{FILE_NAMES[name]}"
    return str(
        wait_out(
            lambda: mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=folder),
            log_waiting,
        )
    )


def find_logged_model(version: Any) -> str | None:
    """Return the logged model of a version; None where its files are those of its run."""
    if version.model_id:
        return str(version.model_id)
    scheme, _, rest = str(version.source).partition("models:/")
    return rest.partition("/")[0] if not scheme and rest.startswith("m-") else None


def tag_model(store: Store, model: ModelVersion, tags: Mapping[str, str]) -> None:
    """Set tags of a model version."""
    client = open_patient_client(store)
    for key, value in tags.items():
        client.set_model_version_tag(model.name, str(model.version), key, value)


def _choose_column_type(item: RawInput) -> Any:
    from mlflow.types import DataType

    # A concrete type, as Unity Catalog wants it. MLflow has one pandas dtype for each, and `string`
    # is the only one by which it hands a value on as it came: by `long` its server would make 1 of
    # 1.5, by `double` another number of 2**53 + 1, and by `datetime` guess at formats. The model
    # reads the values, and checks them, itself.
    return DataType.double if item.kind == "real" else DataType.string


def _choose_output_type(kind: pa.DataType) -> Any:
    from mlflow.types import DataType
    from mlflow.types.schema import Array, Map

    if pa.types.is_list(kind):
        return Array(_choose_output_type(kind.value_type))
    if pa.types.is_map(kind):
        return Map(_choose_output_type(kind.item_type))
    return {
        pa.int64(): DataType.long,
        pa.float64(): DataType.double,
        pa.string(): DataType.string,
    }[kind]


def _parse_model_uri(uri: str) -> tuple[str, str]:
    """Return the name in a model URI, and the version or the alias with its `@`.

    Raises:
        ModelError: it is no model URI.
    """
    rest = uri.removeprefix("models:/")
    if rest == uri or not rest:
        raise ModelError(
            f"{uri!r} is no model URI, expected models:/NAME/VERSION or models:/NAME@ALIAS"
        )
    if "@" in rest:
        name, _, alias = rest.partition("@")
        return name, f"@{alias}"
    name, _, number = rest.partition("/")
    return name, number


@contextlib.contextmanager
def _activate_run(run_id: str) -> Iterator[None]:
    """Make the run the active one of mlflow's fluent functions, without ending it afterwards."""
    import mlflow

    mlflow.start_run(run_id=run_id)
    try:
        yield
    finally:
        mlflow.end_run(status="RUNNING")
