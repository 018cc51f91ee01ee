"""A training starts with the weights of another model."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from pydantic import TypeAdapter

from headrace.errors import TrainError
from headrace.features.buckets import BucketsFeature
from headrace.features.hash import HashFeature
from headrace.features.tokens import TokensFeature
from headrace.features.vocabulary import VocabularyFeature
from headrace.models.build import build_model
from headrace.models.row_matching import locate_feature_rows
from headrace.models.table_plans import list_model_tables
from headrace.recipe.sections import Embeddings, Mlp, Model, Python, Transformer, WideDeep
from headrace.tracking.store import Store
from headrace.train import warm_start
from headrace.train.warm_start import InitialModel, RowsTakenOver
from tests.models.specs import HASH, NUMBER, WORD, draw_inputs, make_spec

STORE = Store("sqlite:///nowhere", "e", "m", None)
SECTION, SPEC = Mlp(kind="mlp", hidden=[4]), make_spec(NUMBER, WORD)


def load_initial_weights(
    target: keras.Model, source: str, store: Store, section: Any, spec: Any
) -> list[RowsTakenOver]:
    return InitialModel(source, store, section, spec).copy_weights(target)


def serve_model(monkeypatch: pytest.MonkeyPatch, source: keras.Model, spec: Any) -> None:
    """Have the registry's files of whatever model be those of this one."""

    def download(store: Store, version: str, name: str, folder: str) -> str:
        path = f"{folder}/{name}.keras"
        if name == "transform":
            Path(path).write_text(spec.to_json())
        else:
            source.save(path)
        return path

    monkeypatch.setattr(warm_start, "find_model", lambda store, uri: uri)
    monkeypatch.setattr(warm_start, "download_model_file", download)


def model(*hidden: int) -> keras.Model:
    return build_model(Mlp(kind="mlp", hidden=list(hidden)), make_spec(NUMBER, WORD))


def test_weights_are_taken_over(tmp_path: Path) -> None:
    first, second = model(4), model(4)
    first.save(tmp_path / "first.keras")
    load_initial_weights(second, str(tmp_path / "first.keras"), STORE, SECTION, SPEC)
    for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_weights_of_a_registered_model_are_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = model(4), model(4)

    def download(store: Store, version: str, name: str, folder: str) -> str:
        assert (store, version) == (STORE, "version of models:/tides/3")
        if name == "transform":
            (Path(folder) / "transform.json").write_text(SPEC.to_json())
            return f"{folder}/transform.json"
        assert name == "keras_model"
        source.save(f"{folder}/model.keras")
        return f"{folder}/model.keras"

    monkeypatch.setattr(warm_start, "find_model", lambda store, uri: f"version of {uri}")
    monkeypatch.setattr(warm_start, "download_model_file", download)
    load_initial_weights(target, "models:/tides/3", STORE, SECTION, SPEC)
    for a, b in zip(source.get_weights(), target.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_file_that_does_not_fit_is_named(tmp_path: Path) -> None:
    model(5).save(tmp_path / "five.keras")
    with pytest.raises(TrainError, match=r"five\.keras has .* weights.*hidden\.0/kernel is"):
        load_initial_weights(model(4), str(tmp_path / "five.keras"), STORE, SECTION, SPEC)
    with pytest.raises(TrainError, match=r"none\.keras does not exist"):
        load_initial_weights(model(4), str(tmp_path / "none.keras"), STORE, SECTION, SPEC)
    (tmp_path / "no.keras").write_text("no model")
    with pytest.raises(TrainError, match=r"no\.keras cannot be loaded"):
        load_initial_weights(model(4), str(tmp_path / "no.keras"), STORE, SECTION, SPEC)


VALUES = ("oslo", "rome", "bonn")
NEWER = ("bonn", "kiel", "oslo", "ulm")


def cities(values: tuple[str, ...], shared: bool = True, **options: Any) -> tuple[Any, Any, Any]:
    """A wide and deep model over a vocabulary, tokens, hashes and intervals."""
    spec = make_spec(
        NUMBER,
        VocabularyFeature(name="w", column="w", values=values, **options),
        HASH,
        BucketsFeature(name="b", column="x", boundaries=(1.0, float(len(values)))),
        TokensFeature(name="_tags", column="tags", length=2, values=values),
    )
    section = WideDeep.model_validate(
        {"kind": "wide_deep", "hidden": [2], "embedding_width": 2, "embeddings": {"shared": shared}}
    )
    built = build_model(section, spec)
    for weight in built.weights:
        weight.assign(np.random.default_rng(len(values)).normal(size=weight.shape))
    return built, section, spec


def list_rows(built: keras.Model, section: Any, spec: Any) -> dict[Any, list[list[float]]]:
    """Return the rows of every feature, by role and name."""
    located = locate_feature_rows(built, list_model_tables(section, spec), spec)
    assert located is not None
    return {
        key: np.array(rows.layer.get_weights()[0])[rows.rows].tolist()
        for key, rows in located.items()
    }


@pytest.mark.parametrize("shared", [True, False])
def test_rows_of_an_older_vocabulary_are_taken_over_by_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared: bool
) -> None:
    """Whatever the layout of tables: a row goes where its value is now."""
    older, older_section, older_spec = cities(VALUES, shared)
    newer, section, spec = cities(NEWER, shared)
    before, old = list_rows(newer, section, spec), list_rows(older, older_section, older_spec)

    serve_model(monkeypatch, older, older_spec)
    taken = load_initial_weights(newer, "models:/cities/1", STORE, section, spec)
    after = list_rows(newer, section, spec)
    for role, name in (("table", "w"), ("wide", "w"), ("embed", "_tags")):
        own, theirs, initial = after[role, name], old[role, name], before[role, name]
        # missing, unknown, then bonn and oslo by their value; kiel and ulm as they were initialised
        assert own[:2] == theirs[:2]
        assert (own[2], own[4]) == (theirs[4], theirs[2])
        assert (own[3], own[5]) == (initial[3], initial[5])
    for role in ("table", "wide"):  # as many buckets and intervals: by number
        assert after[role, "h"] == old[role, "h"]
        assert after[role, "b"] == old[role, "b"]
    for name in ("hidden.0", "output.dense"):
        for a, b in zip(
            newer.get_layer(name).get_weights(), older.get_layer(name).get_weights(), strict=True
        ):
            np.testing.assert_array_equal(a, b)
    counts = {(item.feature, item.kept, item.new, item.gone) for item in taken}
    assert counts == {("w", 4, 2, 1), ("_tags", 4, 2, 1), ("h", 101, 0, 0), ("b", 4, 0, 0)}
    assert "w: 4 ids kept, 2 new, 1 gone" in {item.describe() for item in taken}


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("kind", ["mlp", "wide_deep", "dcn", "dlrm", "transformer"])
def test_a_model_that_begins_with_another_one_answers_as_that_does(
    tmp_path: Path, kind: str, shared: bool
) -> None:
    """With widths that do not come in groups, whichever layout the recipe has by default."""
    hashes = [HashFeature(name=f"f{i}", columns=("w",), buckets=n) for i, n in enumerate((8, 3, 7))]
    spec = make_spec(NUMBER, *hashes)
    tree = {"kind": kind, "embeddings": {"shared": shared}}
    tree |= {"over": "table", "width": 4, "heads": 2} if kind == "transformer" else {"hidden": [4]}
    section = TypeAdapter(Model).validate_python(tree)
    source = build_model(section, spec)
    source.save(tmp_path / "source.keras")
    other = section.model_copy(update={"embeddings": Embeddings(shared=not shared)})
    initial = InitialModel(str(tmp_path / "source.keras"), STORE, other, spec)
    assert initial.shares_tables is shared
    layout = other.model_copy(update={"embeddings": Embeddings(shared=shared)})
    target = build_model(layout, spec)
    initial.copy_weights(target)
    batch = draw_inputs(spec, 7)
    np.testing.assert_array_equal(target(batch), source(batch))
    # into the other layout it does not go: columns are elsewhere there
    with pytest.raises(TrainError, match="use the model section and the dataset"):
        initial.copy_weights(build_model(other, spec))


def test_composed_embeddings_are_taken_over_with_their_vocabulary_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embeddings = Embeddings(compose_above=4)
    section = Mlp(kind="mlp", hidden=[4], embedding_width=2, embeddings=embeddings)
    older, same, newer = (
        make_spec(NUMBER, VocabularyFeature(name="w", column="w", values=values))
        for values in (VALUES, VALUES, ("rome", "oslo", "bonn"))
    )
    source = build_model(section, older)

    serve_model(monkeypatch, source, older)
    target = build_model(section, same)
    assert load_initial_weights(target, "models:/cities/1", STORE, section, same) == []
    for a, b in zip(source.get_weights(), target.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    target = build_model(section, newer)
    with pytest.raises(TrainError, match=r"other ids for w, and rows of a mlp"):
        load_initial_weights(target, "models:/cities/1", STORE, section, newer)


def look_up(inputs: Any, spec: Any) -> Any:
    """A user's own network over the word."""
    return keras.layers.Flatten()(keras.layers.Embedding(5, 2)(inputs["categorical"]))


def test_a_model_of_the_users_own_is_taken_over_with_its_vocabulary_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many ids of other values have the same shapes, and would be taken for each other."""
    section = Python(kind="python", function=f"{__name__}:look_up")
    older, newer = (
        make_spec(NUMBER, VocabularyFeature(name="w", column="w", values=values))
        for values in (VALUES, ("rome", "oslo", "bonn"))
    )
    serve_model(monkeypatch, build_model(section, older), older)
    target = build_model(section, older)
    assert load_initial_weights(target, "models:/cities/1", STORE, section, older) == []
    with pytest.raises(TrainError, match=r"other ids for w, and rows of a python model's table"):
        load_initial_weights(target, "models:/cities/1", STORE, section, newer)


def test_words_of_a_text_are_taken_over_by_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a model that has lists of ids and no categorical."""
    section = Transformer(kind="transformer", over="text", width=4, heads=2, blocks=1)
    older, newer = (
        make_spec(TokensFeature(name="_tags", column="tags", length=4, values=values))
        for values in (VALUES, ("rome", "oslo", "kiel"))
    )
    source, target = build_model(section, older), build_model(section, newer)
    serve_model(monkeypatch, source, older)
    (initial,) = target.get_layer("embed._tags").get_weights()
    (taken,) = load_initial_weights(target, "models:/cities/1", STORE, section, newer)
    assert (taken.kept, taken.new, taken.gone) == (4, 1, 1)
    before, after = (m.get_layer("embed._tags").get_weights()[0] for m in (source, target))
    np.testing.assert_array_equal(after, np.stack([*before[[0, 1, 3, 2]], initial[4]]))


def test_a_width_that_follows_from_another_number_of_ids_is_named() -> None:
    values = tuple(f"city {i}" for i in range(30))
    section = Mlp(kind="mlp", hidden=[4], embedding_width=16)
    spec = make_spec(NUMBER, VocabularyFeature(name="w", column="w", values=values))
    smaller = make_spec(NUMBER, WORD)
    source = build_model(section, smaller)
    target = build_model(section, spec)
    located = [
        locate_feature_rows(m, list_model_tables(section, s), s)
        for m, s in ((target, spec), (source, smaller))
    ]
    with pytest.raises(TrainError, match=r"embeddings of 2 numbers for w, the recipe's model of 6"):
        warm_start._copy_weights(target, source, located[0], located[1], "models:/cities/1")
