"""A registry whose models are not ours runs nothing of theirs."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow
import pytest
import yaml

from headrace.errors import DamagedError, ModelError
from headrace.formats import MODEL
from headrace.lake.transform_file import compute_transform_digest
from headrace.recipe import Recipe
from headrace.score.job import _read_transform
from headrace.score.network import pack_folder
from headrace.tracking import model_check
from headrace.tracking.golden import check_golden
from headrace.tracking.model import CODE_FILE, FILE_NAMES, find_model
from headrace.tracking.model_check import RELEASED_CODE, check_model_folder, remove_bytecode
from headrace.tracking.saved_graph import check_saved_graph
from headrace.tracking.store import Store, open_client
from tests.mlflow_store import copy_empty_store

CODE = Path(model_check.__file__).parent / "model_code" / CODE_FILE


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model's folder as MLflow writes it from our code, with artifacts that nobody reads here."""
    folder = tmp_path_factory.mktemp("models")
    artifacts = {}
    for key, name in FILE_NAMES.items():
        if "." in name:
            (folder / name).write_bytes(b"x")
        else:
            (folder / name / "variables").mkdir(parents=True)
            (folder / name / "variables" / "variables.data-00000-of-00001").write_bytes(b"\x80\x04")
            (folder / name / "saved_model.pb").write_bytes(b"")
        artifacts[key] = str(folder / name)
    mlflow.pyfunc.save_model(
        folder / "model", python_model=str(CODE), artifacts=artifacts, pip_requirements=["mlflow"]
    )
    return folder / "model"


@pytest.fixture
def model(honest: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(honest, tmp_path / "model"))


def change_flavor(model: Path, **entries: Any) -> None:
    tree = yaml.safe_load((model / "MLmodel").read_text())
    tree["flavors"]["python_function"] |= entries
    (model / "MLmodel").write_text(yaml.safe_dump(tree))


def test_a_model_of_ours_is_loaded(model: Path) -> None:
    check_model_folder(str(model), "m")


def test_a_model_that_was_registered_from_a_zip_is_loaded(model: Path) -> None:
    """On a cluster the package is one of --py-files, and its code a temporary file."""
    (model / CODE_FILE).rename(model / f"tmpx{CODE_FILE}")
    change_flavor(model, model_code_path=f"/tmp/tmpx{CODE_FILE}")
    check_model_folder(str(model), "m")
    (model / CODE_FILE).write_text("import os")
    with pytest.raises(ModelError, match="no file of such a model"):
        check_model_folder(str(model), "m")


def test_bytecode_is_refused_and_removed_from_a_copy(model: Path, tmp_path: Path) -> None:
    """Python would run it in place of the code whose digest was compared."""
    (model / "__pycache__").mkdir()
    (model / "__pycache__" / "raw_model.cpython-311.pyc").write_bytes(b"evil")
    with pytest.raises(ModelError, match=r"__pycache__/raw_model.cpython-311.pyc' is no file of"):
        check_model_folder(str(model), "m")
    remove_bytecode(str(model))
    check_model_folder(str(model), "m")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (model / "__pycache__").symlink_to(elsewhere)
    remove_bytecode(str(model))
    assert elsewhere.exists()
    with pytest.raises(ModelError, match="is no file"):
        check_model_folder(str(model), "m")


def test_the_code_of_this_release_is_on_the_list(model: Path) -> None:
    """Whoever changes `raw_model.py` adds its digest, and leaves those of before."""
    check_model_folder(str(model), "m")
    assert len(RELEASED_CODE) >= 7


@pytest.mark.parametrize(
    "entries",
    [
        {"loader_module": "evil"},
        {"loader_module": "mlflow.pyfunc.model", "python_model": "python_model.pkl"},
        {"code": "code"},
        {"code": ["code"]},
        {"model_code_path": "/x/evil.py"},
        {"model_code_path": None},
        {"data": "data"},
        {"predict_fn": "run"},
        {"config": {"a": 1}},
        {"artifacts": {"saved_model": {"path": "../../saved_model", "uri": "x"}}},
        {"artifacts": {"saved_model": {"path": "/tmp/saved_model", "uri": "x"}}},
        {"artifacts": {"other": {"path": "artifacts/other", "uri": "x"}}},
        {"artifacts": {"saved_model": "x"}},
    ],
    ids=str,
)
def test_other_loaders_are_refused(model: Path, entries: dict[str, Any]) -> None:
    change_flavor(model, **entries)
    with pytest.raises(ModelError, match="not as Headrace wrote it"):
        check_model_folder(str(model), "m")


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"flavors: []",
        b"flavors: {python_function: 1}",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b"!!python/object/apply:os.system [touch x]",
    ],
)
def test_a_damaged_description_is_refused(model: Path, text: bytes) -> None:
    (model / "MLmodel").write_bytes(text)
    with pytest.raises(ModelError, match="not as Headrace wrote it"):
        check_model_folder(str(model), "m")


@pytest.mark.parametrize(
    "name",
    ["python_model.pkl", "code/evil.py", "artifacts/evil.so", "artifacts/saved_model/x.pyc",
     "artifacts/raw_model.py", "sitecustomize.py", "a.pth"],
)  # fmt: skip
def test_code_and_pickles_beside_it_are_refused(model: Path, name: str) -> None:
    (model / name).parent.mkdir(exist_ok=True)
    (model / name).write_bytes(b"x")
    with pytest.raises(ModelError, match="no file of such a model"):
        check_model_folder(str(model), "m")


def test_changed_code_is_refused(model: Path) -> None:
    (model / CODE_FILE).write_text(CODE.read_text() + "\nimport os\n")
    with pytest.raises(ModelError, match="is of no release that this one knows"):
        check_model_folder(str(model), "m")


def test_a_link_is_refused(model: Path, tmp_path: Path) -> None:
    (model / CODE_FILE).unlink()
    shutil.copy(CODE, tmp_path / CODE_FILE)
    (model / CODE_FILE).symlink_to(tmp_path / CODE_FILE)
    with pytest.raises(ModelError, match="is no file"):
        check_model_folder(str(model), "m")


def test_a_pickled_model_with_our_metadata_is_not_loaded(tmp_path: Path) -> None:
    """As `promote` and the latency gate load models, from a real registry."""

    class Attack(mlflow.pyfunc.PythonModel):  # local, so that it is pickled with its code
        def __init__(self, mark: str) -> None:
            self.mark = mark

        def __setstate__(self, state: dict[str, Any]) -> None:
            with open(state["mark"], "w"):  # noqa: PTH123
                self.__dict__ = state

        def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
            return model_input

    uri = f"sqlite:///{copy_empty_store(tmp_path / 'm.db')}"
    store = Store.from_recipe(
        Recipe.model_construct(name="m", tracking=_Tracking(uri)), str(tmp_path), {}
    )
    client = open_client(store)
    experiment = client.create_experiment("m", artifact_location=(tmp_path / "artifacts").as_uri())
    mark = tmp_path / "mark"
    facts = {MODEL.key: MODEL.current, "model_bytes": 1}
    with mlflow.start_run(experiment_id=experiment) as run:
        info = mlflow.pyfunc.log_model(
            name="model", python_model=Attack(str(mark)), pip_requirements=["mlflow"],
            metadata={"headrace": json.dumps(facts)},
        )  # fmt: skip
        client.create_registered_model(store.registered_model)
        client.create_model_version(
            store.registered_model, info.model_uri, run.info.run_id, model_id=info.model_id
        )
    mlflow.pyfunc.load_model(find_model(store).uri)
    mark.unlink()  # it works
    with pytest.raises(ModelError, match="not as Headrace wrote it"):
        check_golden(store, find_model(store))
    assert not mark.exists()


class _Tracking:
    """What a store needs to know of the recipe's section."""

    def __init__(self, uri: str) -> None:
        self.uri, self.experiment, self.registered_model = uri, "m", "m"
        self.registry_uri = None


@pytest.mark.parametrize("operation", ["WriteFile", "ReadFile", "PyFunc", "PrintV2"])
def test_a_graph_that_reaches_out_is_refused(tmp_path: Path, operation: str) -> None:
    """By `promote`, and by score, whose workers load the network alone."""
    import tensorflow as tf

    from headrace.score.network import load_network

    mark = str(tmp_path / "mark")

    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([], tf.string)])
        def serve(self, text: Any) -> Any:
            if operation == "WriteFile":
                tf.io.write_file(mark, text)
            elif operation == "ReadFile":
                return tf.io.read_file(text)
            elif operation == "PrintV2":
                tf.print(text, output_stream=f"file://{mark}")
            else:
                return tf.numpy_function(lambda value: value, [text], tf.string)
            return text

    module = Module()
    tf.saved_model.save(module, str(tmp_path / "saved"), signatures={"network": module.serve})
    with pytest.raises(ModelError, match=f"reach files.*{operation}"):
        check_saved_graph(str(tmp_path / "saved"), "m")
    pack_folder(str(tmp_path / "saved"), str(tmp_path / "network.zip"))
    with pytest.raises(ModelError, match=f"reach files.*{operation}"):
        load_network(str(tmp_path / "network.zip"), None, 1)  # type: ignore[arg-type]


def test_a_graph_that_prints_is_taken(tmp_path: Path) -> None:
    import tensorflow as tf

    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([], tf.string)])
        def serve(self, text: Any) -> Any:
            tf.print(text)
            return text

    tf.saved_model.save(Module(), str(tmp_path / "saved"))
    check_saved_graph(str(tmp_path / "saved"), "m")


@pytest.mark.parametrize("content", [b"", b"\xff" * 100, None])
def test_a_damaged_graph_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "saved_model.pb").write_bytes(content)
    if content == b"":  # an empty message: a graph without operations
        check_saved_graph(str(tmp_path), "m")
    else:
        with pytest.raises(ModelError, match="cannot be read"):
            check_saved_graph(str(tmp_path), "m")


def test_a_model_whose_transform_was_changed_scores_nothing() -> None:
    """One digit, and every row is scaled otherwise."""
    text = '{"format_version": 3, "raw": [], "mean": 1.5}'
    metadata = {"transform_digest": compute_transform_digest(text)}
    attempt: Any = SimpleNamespace(model=SimpleNamespace(uri="models:/m/1", metadata=metadata))
    with pytest.raises(DamagedError, match=r"models:/m/1: its transform\.json was changed"):
        _read_transform(attempt, text.replace("1.5", "2.5"))
    with pytest.raises(DamagedError, match=r"models:/m/1: its transform\.json is damaged"):
        _read_transform(attempt, text)  # as it was written, which was no transform
