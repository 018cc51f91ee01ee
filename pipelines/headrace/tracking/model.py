"""Model versions: how a trained model becomes an MLflow model that takes raw rows, and back.

MLflow's Keras and TensorFlow flavours refuse column signatures and string tensors. What works is
a SavedModel wrapped by a pyfunc from code (`raw_model.py`) with a column signature.
"""

import contextlib
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from headrace.errors import ModelError
from headrace.formats import MODEL
from headrace.tracking.run import TrackedRun
from headrace.tracking.store import Store, connect

if TYPE_CHECKING:
    import pandas as pd

# On a cluster the package may be a zip that came by --py-files.
_CODE = resources.files("headrace.tracking") / "model_code" / "raw_model.py"
_FACTS = "headrace"
_OUTPUTS = {
    "binary": (("probability", "double"), ("prediction", "long")),
    "classes": (("prediction", "string"), ("probability", "double")),
    "multi_label": (("prediction", "texts"), ("probability", "by label")),
    "regression": (("prediction", "double"),),
}


@dataclass(frozen=True)
class RawInput:
    """A raw column of the signature; `kind` as in `transform.spec.RawKind`."""

    name: str
    kind: str


@dataclass(frozen=True)
class ModelVersion:
    """A registered model version, with what Headrace recorded in it.

    Attributes:
        name, version: in the registry.
        run_id: the run that trained it.
        uri: `models:/name/version`.
        facts: dataset root, version, digests and so on, as `register` was given them.
    """

    name: str
    version: int
    run_id: str
    facts: dict[str, Any]

    @property
    def uri(self) -> str:
        return f"models:/{self.name}/{self.version}"


def register(
    run: TrackedRun,
    *,
    files: Mapping[str, str],
    label_kind: str,
    inputs: Sequence[RawInput],
    example: "pd.DataFrame",
    threshold: float | None,
    facts: dict[str, Any],
) -> ModelVersion:
    """Log the model to the run and register it as a new version.

    Args:
        run: the run that trained it.
        files: local paths of `saved_model` and `network` (folders), `keras_model`, `transform`,
            `golden`, `reference`.
        label_kind: binary, classes, multi_label or regression; says what `predict` returns.
        inputs: the raw columns, in order.
        example: a few raw rows, as an input example.
        threshold: default of the `threshold` parameter of `predict`; None where the label has none.
        facts: plain values to find again in `ModelVersion.facts`.
    """
    import mlflow
    from mlflow.exceptions import MlflowException
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

    signature = ModelSignature(
        inputs=Schema([ColSpec(_column_type(item), item.name) for item in inputs]),
        outputs=Schema([ColSpec(_output_type(kind), name) for name, kind in _OUTPUTS[label_kind]]),
        params=ParamSchema(
            [] if threshold is None else [ParamSpec("threshold", DataType.double, threshold)]
        ),
    )
    packages = ("mlflow", "tensorflow", "keras", "numpy", "pandas")
    with _active(run.run_id), resources.as_file(_CODE) as code, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*[Aa]dd type hints")
        info = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(code),
            artifacts={name: str(path) for name, path in files.items()},
            signature=signature,
            input_example=example,
            pip_requirements=[f"{name}=={version(name)}" for name in packages],
            metadata={_FACTS: json.dumps({MODEL.key: MODEL.current, **facts})},
        )
    client = connect(run.store)
    name = run.store.registered_model
    with contextlib.suppress(MlflowException):  # it exists, then
        client.create_registered_model(name)
    made = client.create_model_version(
        name, info.model_uri, run_id=run.run_id, model_id=info.model_id
    )
    return ModelVersion(name, int(made.version), run.run_id, facts)


def find_model(store: Store, uri: str | None = None) -> ModelVersion:
    """Look a model version up.

    Args:
        store: where to look.
        uri: `models:/name/3` or `models:/name@alias`; the newest version of the recipe's
            registered model where it is left out.

    Raises:
        ModelError: there is none, or Headrace did not make it.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    client = connect(store)
    try:
        name, wanted = _parse(uri) if uri else (store.registered_model, "")
        if wanted.startswith("@"):
            found = client.get_model_version_by_alias(name, wanted[1:])
        elif wanted:
            found = client.get_model_version(name, wanted)
        else:
            versions = client.search_model_versions(f"name = '{name}'")
            if not versions:
                raise ModelError(
                    f"no version of model {name!r} is registered in {store.shown}; "
                    "run `headrace train` first"
                )
            found = max(versions, key=lambda v: int(v.version))
        uri = f"models:/{name}/{found.version}"
        metadata = mlflow.models.get_model_info(uri).metadata or {}
    except MlflowException as error:
        raise ModelError(f"model {uri or store.registered_model}: {error.message}") from None
    if _FACTS not in metadata:
        raise ModelError(f"model {uri} was not made by Headrace; train one with `headrace train`")
    facts = MODEL.migrated(json.loads(metadata[_FACTS]), f"model {uri}", ModelError)
    del facts[MODEL.key]
    return ModelVersion(name, int(found.version), str(found.run_id), facts)


def model_file(store: Store, model: ModelVersion, name: str, folder: str) -> str:
    """Local path of one of the files that `register` was given; downloaded below `folder`."""
    import mlflow

    connect(store)
    return str(
        mlflow.artifacts.download_artifacts(
            artifact_uri=f"{model.uri}/artifacts/{_FILE_NAMES[name]}", dst_path=folder
        )
    )


def tag_model(store: Store, model: ModelVersion, tags: Mapping[str, str]) -> None:
    """Set tags of a model version."""
    client = connect(store)
    for key, value in tags.items():
        client.set_model_version_tag(model.name, str(model.version), key, value)


_FILE_NAMES = {
    "saved_model": "saved_model",
    "network": "network",
    "keras_model": "model.keras",
    "transform": "transform.json",
    "golden": "golden.parquet",
    "reference": "reference.json",
}


def _column_type(item: RawInput) -> Any:
    from mlflow.types import DataType
    from mlflow.types.schema import AnyType

    # MLflow takes one pandas dtype for a typed column. But whole numbers become floats where one of
    # them is null, 39 degrees come as an integer, times as texts, with zones, or out of the range
    # of nanoseconds, lists as arrays, and its server takes no null for binary: the model checks the
    # values itself.
    return DataType.string if item.kind == "string" else AnyType()  # type: ignore[no-untyped-call]


def _output_type(kind: str) -> Any:
    from mlflow.types import DataType
    from mlflow.types.schema import Array, Map

    several = {"texts": Array(DataType.string), "by label": Map(DataType.double)}
    return several.get(kind) or DataType[kind]


def _parse(uri: str) -> tuple[str, str]:
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
def _active(run_id: str) -> Iterator[None]:
    """Make the run current for mlflow's fluent functions, without ending it afterwards."""
    import mlflow

    mlflow.start_run(run_id=run_id)
    try:
        yield
    finally:
        mlflow.end_run(status="RUNNING")
