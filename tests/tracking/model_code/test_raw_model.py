"""The served model: raw rows as people have them, of every kind of column and label."""

import datetime as dt
import importlib.util
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from headrace.features.image import ImageFeature
from headrace.features.scaled import ScaledFeature
from headrace.features.series import SeriesFeature
from headrace.features.tokens import TokensFeature
from headrace.labels.kinds import find_label_kind
from headrace.labels.spec import LabelSpec
from headrace.models.build import build_model
from headrace.models.raw import export_raw_model
from headrace.recipe.sections import Mlp
from headrace.tracking.model import RawInput, find_model, register_version
from headrace.tracking.run import start_run
from headrace.tracking.store import Store, open_client
from headrace.train.input_example import make_example_rows
from headrace.transform.spec import DerivedColumn, RawColumn, TransformSpec

RAW = {"x": "real", "n": "integer", "t": "timestamp", "tags": "strings", "tide": "reals"}
RAW |= {"steps": "integers", "photo": "bytes", "w": "string"}
FEATURES = (
    ScaledFeature(name="x", column="x"),
    ScaledFeature(name="n", column="n"),
    ScaledFeature(name="hour", column="hour"),
    TokensFeature(name="tags", column="tags", length=2, values=("a", "b", "c")),
    SeriesFeature(name="tide", column="tide", length=2),
    SeriesFeature(name="steps", column="steps", length=1),
    ImageFeature(name="photo", column="photo", height=1, width=1, channels=1),
    TokensFeature(name="w", column="w", length=1, values=("yes",)),
)
# What a unit of each adds to the logit: x, n, hour, tags (3), tide (2), steps, photo, w (2).
UNITS = [0.5, 10.0, 100.0, 1e3, 0, 0, 0.0, 1e4, 2e4, 255.0, 0.25, 0]
LABELS = {
    "binary": LabelSpec(),
    "classes": LabelSpec(kind="classes", classes=("no", "maybe", "yes")),
    "multi_label": LabelSpec(kind="multi_label", classes=("much", "little")),
    "regression": LabelSpec(kind="regression", center=7.0, scale=2.0),
}


def spec_of(kind: str) -> TransformSpec:
    return TransformSpec(
        raw=tuple(RawColumn(name=n, kind=k, nullable=True) for n, k in RAW.items()),
        derived=(DerivedColumn(name="hour", op="time_part", columns=("t",), part="hour"),),
        features=FEATURES,
        label=LABELS[kind],
    )


def trained(spec: TransformSpec) -> Any:
    """A model whose hidden value is the sum of UNITS; embeddings of id i are (i, 0, …)."""
    model = build_model(Mlp(kind="mlp", hidden=[1]), spec)
    for name in ("embed.tags", "embed.w"):
        (table,) = model.get_layer(name).get_weights()
        table[:] = 0
        table[:, 0] = np.arange(len(table))
        model.get_layer(name).set_weights([table])
    model.get_layer("hidden.0").set_weights([np.array(UNITS)[:, None], np.zeros(1)])
    if spec.label.kind == "classes":
        # logits are 0, 1000 - v and v - 1000
        kernel, bias = np.array([[0.0, -1.0, 1.0]]), np.array([0.0, 1000.0, -1000.0])
        model.get_layer("logits").set_weights([kernel, bias])
    elif spec.label.kind == "multi_label":
        # logits are v - 1000 and 2000 - v
        kernel, bias = np.array([[1.0, -1.0]]), np.array([-1000.0, 2000.0])
        model.get_layer("logits").set_weights([kernel, bias])
    else:
        shift = -1000.0 if spec.label.kind == "binary" else 0.0
        model.get_layer("output.dense").set_weights([np.ones((1, 1)), np.array([shift])])
    return model


def png(level: int) -> bytes:
    return tf.io.encode_png(np.full((1, 1, 1), level, np.uint8)).numpy()


def rows() -> pd.DataFrame:
    """Four rows; SUMS are their values."""
    return pd.DataFrame(
        {
            "x": [1.0, None, 3, 0],
            "n": [2, 0, None, 1],
            "t": ["2013-05-01T03:59Z", dt.datetime(9000, 1, 1, 5), None, "2013-05-01T01:00-01:00"],
            "tags": [["a"], None, np.array(["c", None], dtype=object), ["unseen", "b", "c"]],
            "tide": [[0.0, 1.0], np.array([5.0]), [], None],
            "steps": [[1, 9], [], None, np.array([2])],
            "photo": [png(0), png(255), None, bytearray(png(102))],
            "w": ["yes", "no", None, ""],
        }
    )  # fmt: skip


SUMS = [
    0.5 + 20 + 300 + 2000 + 10_000 + 20_000 + 0 + 0.5,
    # w is unknown, id 1
    0 + 0 + 500 + 0 + 0 + 0 + 255 + 0.25,
    1.5 + 0 + 0 + 4000 + 0 + 0 + 0 + 0,
    # ids 1 and 3; w has no word
    0 + 10 + 200 + 2000 + 0 + 40_000 + 102 + 0,
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


def store_of(kind: str, folder: Path) -> Store:
    return Store(f"sqlite:///{folder}/m.db", "raw", kind, f"file://{folder}/artifacts")


@pytest.fixture(scope="module")
def served(folder: Path) -> dict[str, Any]:
    """Registered in a store of its own and loaded again: one model a kind of label."""
    import mlflow

    loaded = {}
    for kind in LABELS:
        spec = spec_of(kind)
        files = {"saved_model": str(folder / kind), "transform": str(folder / f"{kind}.json")}
        store = store_of(kind, folder)
        export_raw_model(trained(spec), spec, files["saved_model"])
        Path(files["transform"]).write_text(spec.to_json())
        with start_run(store, kind) as run:
            version = register_version(
                run,
                files=files,
                kind=find_label_kind(kind),
                inputs=[RawInput(column.name, column.kind) for column in spec.raw],
                example=make_example_rows(spec),
                threshold=0.5 if spec.label.has_threshold else None,
                metadata={"dataset_version": 4},
            )
        assert find_model(store).metadata == {"dataset_version": 4}
        loaded[kind] = mlflow.pyfunc.load_model(version.uri)
    return loaded


def test_regression_answers_in_the_labels_own_unit(served: dict[str, Any]) -> None:
    found = served["regression"].predict(rows())
    assert list(found.columns) == ["prediction"]
    np.testing.assert_allclose(found["prediction"], [7 + 2 * v for v in SUMS], rtol=1e-6)


def test_classes_are_named(served: dict[str, Any]) -> None:
    found = served["classes"].predict(rows())
    assert found["prediction"].tolist() == ["yes", "maybe", "yes", "yes"]
    assert list(found.columns) == ["prediction", "probability"]
    np.testing.assert_allclose(found["probability"], 1.0)
    none = pd.DataFrame({name: [None] for name in RAW}, index=[9])
    found = served["classes"].predict(none.assign(x=2000.0))  # logits 0, 0 and 0
    assert found.index.tolist() == [9]
    assert found["prediction"].tolist() == ["no"]
    np.testing.assert_allclose(found["probability"], 1 / 3, rtol=1e-6)


def test_several_labels_are_lists_and_probabilities_by_name(served: dict[str, Any]) -> None:
    none = pd.DataFrame({name: [None] * 3 for name in RAW}, index=[4, 5, 6])
    some = none.assign(x=[2000.0, 3000.0, 9000.0])  # values 1000, 1500 and 4500
    found = served["multi_label"].predict(some)
    assert found.index.tolist() == [4, 5, 6]
    assert found["prediction"].tolist() == [["much", "little"], ["much", "little"], ["much"]]
    assert [list(row) for row in found["probability"]] == [["much", "little"]] * 3
    assert found["probability"][4] == pytest.approx({"much": 0.5, "little": 1.0})
    found = served["multi_label"].predict(some, params={"threshold": 0.6})
    assert found["prediction"].tolist() == [["little"], ["much", "little"], ["much"]]
    found = served["multi_label"].predict(some.iloc[:0])
    assert (len(found), list(found.columns)) == (0, ["prediction", "probability"])


def test_binary_takes_a_threshold(served: dict[str, Any]) -> None:
    none = pd.DataFrame({name: [None] * 2 for name in RAW})
    some = none.assign(x=[2000.0, 2002.0])  # logits 0 and 1
    found = served["binary"].predict(some)
    np.testing.assert_allclose(found["probability"], [0.5, 0.7310586], rtol=1e-6)
    assert found["prediction"].tolist() == [1, 1]
    found = served["binary"].predict(some, params={"threshold": 0.6})
    assert found["prediction"].tolist() == [0, 1]


@pytest.mark.parametrize("kind", LABELS)
def test_no_rows_give_no_answers(kind: str, served: dict[str, Any]) -> None:
    some = served[kind].predict(rows())
    found = served[kind].predict(rows().iloc[:0])
    assert (len(found), list(found.columns)) == (0, list(some.columns))


@pytest.mark.parametrize("kind", LABELS)
def test_the_example_is_valid_and_survives_the_servers_json(
    kind: str, served: dict[str, Any], folder: Path
) -> None:
    import mlflow
    from mlflow.models import validate_serving_input

    open_client(store_of(kind, folder))
    uri = f"models:/{kind}/1"
    expected = served[kind].predict(make_example_rows(spec_of(kind)))
    request = Path(mlflow.artifacts.download_artifacts(f"{uri}/serving_input_example.json"))
    found = validate_serving_input(uri, request.read_text())
    pd.testing.assert_frame_equal(found, expected)


def test_a_value_of_another_type_is_named(served: dict[str, Any]) -> None:
    model = served["regression"]
    for column, value, message in (
        ("x", "much", "'x' holds 'much' of type str, expected a number"),
        ("x", "1_0", "'x' holds '1_0' of type str, expected a number"),
        ("x", 1j, "'x' holds 1j of type complex, expected a number"),
        ("x", dt.datetime(2013, 1, 1), "'x' holds .* of type datetime, expected a number"),
        ("n", 1.5, "'n' holds 1.5 of type float, expected a whole number"),
        ("n", float("inf"), "'n' holds inf of type float, expected a whole number"),
        ("n", 2.0**53, r"'n' holds 9007199254740992.0 of type float, expected .* below 2\*\*53"),
        ("n", 2**63, "'n' holds 9223372036854775808 of type int, expected a whole number of 64"),
        ("n", "1e3", "'n' holds '1e3' of type str, expected a whole number"),
        ("n", "", "'n' holds '' of type str, expected a whole number"),
        ("n", dt.datetime(2013, 1, 1), "'n' holds .* of type datetime, expected a whole number"),
        ("t", "yesterday", "'t' holds 'yesterday' of type str, expected a datetime"),
        ("t", 7, "'t' holds 7 of type int, expected a datetime"),
        ("tags", "a b", "'tags' holds 'a b' of type str, expected a list"),
        ("tags", [True], "'tags' holds True of type bool, expected text"),
        ("tags", "['a']", r"'tags' holds \"\['a'\]\" of type str, expected a list, its JSON"),
        ("tide", ["low"], "'tide' holds 'low' of type str, expected a number"),
        ("steps", [0.5], "'steps' holds 0.5 of type float, expected a whole number"),
        ("photo", "photo.png", "'photo' holds 'photo.png' of type str, expected the bytes"),
        ("photo", 7, "'photo' holds 7 of type int, expected the bytes"),
        ("photo", "é", "'photo' holds 'é' of type str, expected the bytes"),
        ("w", 7.5, "'w' holds 7.5 of type float, expected text"),
        ("w", b"yes", "'w' holds b'yes' of type bytes, expected text"),
        ("w", "\ud800", "'w' holds .* of type str, expected text of UTF-8"),
    ):
        broken = rows()
        broken[column] = pd.Series([value, *rows()[column].tolist()[1:]], dtype=object)
        with pytest.raises(ValueError, match=f"raw column {message}"):
            model.predict(broken)
    larger = tf.io.encode_png(np.zeros((2, 1, 1), np.uint8)).numpy()
    for value, message in (
        (b"no image", "Unknown image file format. One of JPEG"),
        (larger, r"Shape of tensor \[2,1,1\] is not compatible with expected shape \[1,1,1\]"),
    ):
        broken = rows()
        broken["photo"] = pd.Series([value, None, None, None], dtype=object)
        with pytest.raises(ValueError, match=f"the model cannot read the rows: {message}"):
            model.predict(broken)


def code() -> ModuleType:
    file = Path("pipelines/headrace/tracking/model_code/raw_model.py")
    found = importlib.util.spec_from_file_location("raw_model_code", file)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


MISSING = -(2**63)
NEW_YORK = "America/New_York"


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pd.Series(pd.to_datetime(["1970-01-02", None])), [86_400_000_000, MISSING]),
        # a nanosecond before 1970 is in the microsecond before it
        (pd.Series(pd.to_datetime(["1969-12-31T23:59:59.999999999"])), [-1]),
        (pd.Series(pd.to_datetime(["1970-01-01"]).tz_localize(NEW_YORK)), [5 * 3_600_000_000]),
        (pd.Series(["1970-01-01T00:00:01Z", None, "1970-01-01 00:00:00.000002"]),
         [1_000_000, MISSING, 2]),
        (pd.Series(["1970-01-01T02:00:00+02:00"], dtype="string"), [0]),
        (pd.Series([pd.NaT, dt.date(1970, 1, 2), pd.Timestamp("1970-01-01", tz=NEW_YORK)],
                   dtype=object), [MISSING, 86_400_000_000, 5 * 3_600_000_000]),
        # beyond what nanoseconds in 64 bits hold, and beyond the years of a datetime in UTC
        (pd.Series(["0001-01-01", "0001-01-01T00:00:00+01:00"]),
         [-62_135_596_800_000_000, -62_135_600_400_000_000]),
        (pd.Series([dt.datetime(9999, 12, 31, 23, 59, 59, 999_999)], dtype=object),
         [253_402_300_799_999_999]),
        (pd.Series(np.array(["9999-12-31"], "datetime64[s]")), [253_402_214_400_000_000]),
        (pd.Series([np.datetime64("9999-12-31T00:00")], dtype=object), [253_402_214_400_000_000]),
    ],
)  # fmt: skip
def test_timestamps_in_every_form(column: pd.Series, expected: list[int]) -> None:
    assert code()._convert_column(column, "timestamp").tolist() == expected


@pytest.mark.parametrize(
    ("cells", "kind", "expected"),
    [
        ([[1, 2], None, []], "integers", [[1, 2], [MISSING] * 2, [MISSING] * 2]),
        # a list with a null beside a number that float64 does not hold
        ([[None, 2**60 + 1]], "integers", [[MISSING, 2**60 + 1]]),
        ([np.array([2**60 + 1]), np.array([2.0])], "integers", [[2**60 + 1], [2]]),
        ([np.array([1.0, np.nan])], "integers", [[1, MISSING]]),
        ([float("nan"), pd.NA], "integers", [[MISSING], [MISSING]]),
        ([(0.5,), np.array([1, 2])], "reals", [[0.5, None], [1.0, 2.0]]),
        ([["é", None], ()], "strings", [["é".encode(), b"\xff"], [b"\xff", b"\xff"]]),
        ([np.array(["a", "b"]), np.array(["ccc"])], "strings", [[b"a", b"b"], [b"ccc", b"\xff"]]),
    ],
)
def test_lists_are_padded_to_the_longest(cells: list, kind: str, expected: list) -> None:
    found = code()._convert_column(pd.Series(cells, dtype=object), kind).tolist()
    assert [[None if v != v else v for v in row] for row in found] == expected


def test_wide_rows_are_predicted_in_smaller_calls(tmp_path: Path) -> None:
    spec = spec_of("regression")
    large = ImageFeature(name="photo", column="photo", height=256, width=256, channels=1)
    calls = {}
    for name, features in {"narrow": FEATURES[:3], "wide": (*FEATURES[:3], large)}.items():
        changed = spec.model_copy(update={"features": features})
        (tmp_path / "t.json").write_text(changed.to_json())
        export_raw_model(build_model(Mlp(kind="mlp"), changed), changed, str(tmp_path / name))
        model = code().RawModel()
        artifacts = {"saved_model": str(tmp_path / name), "transform": str(tmp_path / "t.json")}
        model.load_context(SimpleNamespace(artifacts=artifacts))
        calls[name] = model._rows_per_call
    assert calls == {"narrow": 65_536, "wide": 4}
