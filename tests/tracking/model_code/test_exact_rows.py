"""Rows on their way into the served model: no value changes, whatever lies beside it."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import scoring_server
from mlflow.types.schema import DataType

from headrace.features.scaled import ScaledFeature
from headrace.features.vocabulary import VocabularyFeature
from headrace.labels.kinds import find_label_kind
from headrace.labels.spec import LabelSpec
from headrace.models.build import build_model
from headrace.models.raw import export_raw_model
from headrace.recipe.sections import Mlp
from headrace.tracking.model import ModelVersion, RawInput, register_version
from headrace.tracking.run import TrackedRun, continue_run, start_run
from headrace.tracking.store import Store
from headrace.train.input_example import make_example_rows
from headrace.transform.spec import RawColumn, TransformSpec

BIG = 2**53
IDS = (BIG, BIG + 1, BIG + 2, 7, 2**63 - 1, -(2**62) - 1)
# Texts that pandas takes for nulls, and digits with a zero before them.
WORDS = ("NA", "None", "null", "nan", "007", "7", "é", "true")
NUMBERS = (0.1, 1e3, 3.0, -0.30000000000000004)
ROWS = [
    {"id": None if i == 3 else i, "word": word, "x": x}
    for i, word, x in zip(
        itertools.islice(itertools.cycle((*IDS, None)), 56),
        itertools.islice(itertools.cycle((*WORDS, None)), 56),
        itertools.islice(itertools.cycle((*NUMBERS, None)), 56),
        strict=True,
    )
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A model that tells all values apart: embeddings of random numbers."""
    import mlflow

    folder = tmp_path_factory.mktemp("exact")
    spec = TransformSpec(
        raw=tuple(
            RawColumn(name=name, kind=kind, nullable=True)
            for name, kind in (("id", "integer"), ("word", "string"), ("x", "real"))
        ),
        derived=(),
        features=(
            VocabularyFeature(name="id", column="id", values=tuple(map(str, IDS))),
            VocabularyFeature(name="word", column="word", values=WORDS),
            ScaledFeature(name="x", column="x", scale=2.0),
        ),
        label=LabelSpec(kind="regression"),
    )
    network = build_model(Mlp(kind="mlp", hidden=[8]), spec)
    random = np.random.default_rng(0)
    network.set_weights([random.normal(size=w.shape) for w in network.get_weights()])
    files = {"saved_model": str(folder / "m"), "transform": str(folder / "t.json")}
    export_raw_model(network, spec, files["saved_model"])
    Path(files["transform"]).write_text(spec.to_json())
    store = Store(f"sqlite:///{folder}/m.db", "raw", "exact", f"file://{folder}/artifacts")

    def register(run: TrackedRun) -> ModelVersion:
        return register_version(
            run,
            files=files,
            kind=find_label_kind("regression"),
            inputs=[RawInput(column.name, column.kind) for column in spec.raw],
            example=make_example_rows(spec),
            threshold=None,
            metadata={},
        )

    with start_run(store, "exact") as run:
        version = register(run)
    # Where the process ended before it could say so, the next one registers no second version.
    with continue_run(store, version.run_id) as run:
        assert register(run) == version
    with start_run(store, "another") as run:
        assert register(run).version == version.version + 1
    return mlflow.pyfunc.load_model(version.uri)


def ask(model: Any, body: str, content: str = "application/json") -> list[float]:
    """Ask as MLflow's server does."""
    schema = model.metadata.get_input_schema()
    answer = scoring_server.invocations(body, content, model, schema)
    assert answer.status == 200, answer.response
    return [row["prediction"] for row in json.loads(answer.response)["predictions"]]


def write_csv(rows: list[dict[str, Any]]) -> str:
    lines = ["id,word,x"]
    lines += [",".join("" if v is None else f"{v!r}".strip("'") for v in r.values()) for r in rows]
    return "\n".join(lines) + "\n"


FORMS: dict[str, Callable[[Any, list[dict[str, Any]]], list[float]]] = {
    "split": lambda m, rows: ask(m, json.dumps({"dataframe_split": {
        "columns": list(rows[0]), "data": [list(row.values()) for row in rows]}})),
    "records": lambda m, rows: ask(m, json.dumps({"dataframe_records": rows})),
    "instances": lambda m, rows: ask(m, json.dumps({"instances": rows})),
    "inputs": lambda m, rows: ask(m, json.dumps(
        {"inputs": {name: [row[name] for row in rows] for name in rows[0]}})),
    "csv": lambda m, rows: ask(m, write_csv(rows), "text/csv"),
    "objects": lambda m, rows: m.predict(pd.DataFrame(rows, dtype=object))["prediction"].tolist(),
    "arrow": lambda m, rows: m.predict(
        pa.Table.from_pylist(rows, pa.schema(
            [("id", pa.int64()), ("word", pa.string()), ("x", pa.float64())]))
        .to_pandas(types_mapper=pd.ArrowDtype))["prediction"].tolist(),
    "nullable": lambda m, rows: m.predict(pd.DataFrame({
        "id": pd.array([row["id"] for row in rows], dtype="Int64"),
        "word": pd.array([row["word"] for row in rows], dtype="string"),
        "x": pd.array([row["x"] for row in rows], dtype="Float64"),
    }))["prediction"].tolist(),
}  # fmt: skip


@pytest.fixture(scope="module")
def expected(model: Any) -> list[float]:
    return [FORMS["objects"](model, [row])[0] for row in ROWS]


@pytest.mark.parametrize("form", FORMS)
def test_a_row_has_one_answer_alone_and_beside_any_other(
    form: str, model: Any, expected: list[float]
) -> None:
    assert len({round(value, 4) for value in expected}) > 50  # the model tells the rows apart
    together = FORMS[form](model, ROWS)
    np.testing.assert_allclose(together, expected, rtol=1e-5)
    alone = [FORMS[form](model, [row])[0] for row in ROWS[:20]]
    np.testing.assert_allclose(alone, expected[:20], rtol=1e-5)


def test_all_columns_have_types_that_any_registry_takes(model: Any) -> None:
    types = model.metadata.get_input_schema().input_types()
    assert all(isinstance(kind, DataType) for kind in types)
    assert model.metadata.get_output_schema() is not None


@pytest.mark.parametrize(
    "words",
    [
        pd.Series(["007", "7", "NA"], dtype="category"),
        pd.Series([np.nan] * 3),
        pd.Series([None] * 3, dtype=object),
        pd.Series([7, 7, 7]),
        pd.Series([7.0, np.nan, 7.0]),
        pd.Series(["7", 7, None], dtype=object),
    ],
    ids=["category", "all nan", "all none", "digits", "digits and a null", "mixed"],
)
def test_a_text_column_comes_in_any_dtype(words: pd.Series, model: Any) -> None:
    texts = [None if pd.isna(w) else w if isinstance(w, str) else str(int(w)) for w in words]
    expected = FORMS["objects"](model, [{"id": 7, "word": text, "x": 3.0} for text in texts])
    found = model.predict(pd.DataFrame({"id": [7] * 3, "word": words, "x": [3, 3, 3]}))
    np.testing.assert_allclose(found["prediction"], expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["int8", "int32", "int64", "uint16", "float32", "bool"])
def test_numbers_come_in_any_dtype(dtype: str, model: Any) -> None:
    expected = FORMS["objects"](model, [{"id": 1, "word": "7", "x": 1.0}])
    frame = pd.DataFrame({"id": np.ones(1, dtype), "word": ["7"], "x": np.ones(1, dtype)})
    np.testing.assert_allclose(model.predict(frame)["prediction"], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("id", 1.5, "holds 1.5 of type float"),
        ("id", "x", "holds 'x'"),
        ("x", "much", "holds 'much'"),
        ("word", [1], "holds"),
    ],
)
def test_what_does_not_fit_is_status_400_with_the_reason(
    column: str, value: Any, message: str, model: Any
) -> None:
    rows = [{"id": 7, "word": "7", "x": 3.0, column: value}]
    schema = model.metadata.get_input_schema()
    for body in ({"dataframe_records": rows}, {"instances": rows}):
        with pytest.raises(MlflowException, match=f"raw column '{column}' {message}") as caught:
            scoring_server.invocations(json.dumps(body), "application/json", model, schema)
        assert caught.value.get_http_status_code() == 400


def test_a_null_that_another_server_made_a_text_is_refused(model: Any) -> None:
    """What MLflow's own cast of `inputs` gives where its functions are called otherwise."""
    rows = {"id": np.array([7]), "word": np.array(["None"]), "x": np.array([3.0])}
    with pytest.raises(MlflowException, match="'None', which may have been a null"):
        model.predict(rows)


def test_a_prediction_that_is_no_number_says_so(model: Any) -> None:
    network = model.unwrap_python_model()
    original = network._serve

    def answer(**tensors: Any) -> Any:
        outputs = original(**tensors)
        (name,) = outputs
        values = outputs[name].numpy()
        values[1] = np.nan
        import tensorflow as tf

        return {name: tf.constant(values)}

    network._serve = answer
    try:
        with pytest.raises(ValueError, match=r"no finite number for 1 of 3 rows \(index 1\)"):
            FORMS["split"](model, ROWS[:3])
    finally:
        network._serve = original


def test_another_model_in_the_process_is_checked_as_before(model: Any, tmp_path: Path) -> None:
    import mlflow

    class Doubling(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input):  # type: ignore[no-untyped-def]
            return model_input * 2

    signature = mlflow.models.infer_signature(pd.DataFrame({"id": [1]}))
    mlflow.pyfunc.save_model(str(tmp_path / "m"), python_model=Doubling(), signature=signature)
    other = mlflow.pyfunc.load_model(str(tmp_path / "m"))
    with pytest.raises(mlflow.exceptions.MlflowException, match="Can not safely convert"):
        other.predict(pd.DataFrame({"id": [1.5]}))


@pytest.mark.parametrize(
    "body",
    [{}, {"dataframe_records": ROWS[:1], "inputs": ROWS[:1]}, {"dataframe_split": {"columns": []}},
     {"dataframe_records": 5}, {"inputs": {"id": [1, 2], "word": ["a"]}}],
)  # fmt: skip
def test_a_request_that_is_none_is_status_400(body: dict[str, Any], model: Any) -> None:
    schema = model.metadata.get_input_schema()
    with pytest.raises(MlflowException) as caught:
        scoring_server.invocations(json.dumps(body), "application/json", model, schema)
    assert caught.value.get_http_status_code() == 400


def test_a_complex_number_is_no_number(model: Any) -> None:
    for value in (1 + 2j, np.complex128(1 + 2j)):
        with pytest.raises(ValueError, match="raw column 'x' holds"):
            FORMS["objects"](model, [{"id": 7, "word": "7", "x": value}])
