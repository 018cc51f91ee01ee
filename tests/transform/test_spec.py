"""transform.json: what it holds survives, what it does not know is refused."""

import json

import numpy as np
import pytest
from pydantic import ValidationError

from headrace.errors import DatasetError
from headrace.features.hash import HashFeature
from headrace.features.scaled import ScaledFeature
from headrace.features.stored_texts import StoredTexts
from headrace.features.vocabulary import VocabularyFeature
from headrace.formats import TRANSFORM
from headrace.transform.arrow import stack_inputs
from headrace.transform.spec import RawColumn, TransformSpec

SPEC = TransformSpec(
    raw=(RawColumn(name="a", kind="real", nullable=False),),
    derived=(),
    features=(
        VocabularyFeature(name="v", column="a", values=("x", "日本")),
        ScaledFeature(name="s", column="a", center=0.1 + 0.2, scale=1e-300),
        HashFeature(name="h", columns=("a",), buckets=5),
    ),
)


def test_json_keeps_every_bit() -> None:
    again = TransformSpec.from_json(SPEC.to_json())
    assert again == SPEC
    assert again.to_json() == SPEC.to_json()


def test_a_models_inputs_are_stacked_from_columns() -> None:
    columns = {"v": np.array([1, 2], np.int32), "h": np.array([3, 4], np.int32),
               "s": np.array([0.5, 1.5], np.float32)}  # fmt: skip
    inputs = stack_inputs(columns, SPEC)
    assert {name: array.tolist() for name, array in inputs.items()} == {
        "numeric": [[0.5], [1.5]], "categorical": [[1, 3], [2, 4]]
    }  # fmt: skip
    assert {name: array.dtype for name, array in inputs.items()} == {
        "numeric": np.float32, "categorical": np.int32
    }  # fmt: skip


def test_groups_and_cardinalities() -> None:
    assert SPEC.numeric == ("s",)
    assert [(f.name, f.cardinality) for f in SPEC.categorical] == [("v", 4), ("h", 6)]


def changed(**values: object) -> str:
    return json.dumps({**json.loads(SPEC.to_json()), **values})


def test_an_unknown_key_is_refused() -> None:
    with pytest.raises(ValidationError):
        TransformSpec.from_json(changed(surprise=1))


@pytest.mark.parametrize("version", [1, 6, 99])
def test_an_unknown_format_is_refused(version: int) -> None:
    message = f"^transform.json is of format {version}, this Headrace knows"
    with pytest.raises(DatasetError, match=message):
        TransformSpec.from_json(changed(format_version=version, surprise=1))


def test_a_vocabulary_in_a_file_raises_the_format_and_others_leave_the_bytes_alone() -> None:
    assert SPEC.to_json().startswith('{\n "format_version": 4,\n "raw"')
    texts = StoredTexts(f"texts-{'0' * 64}.arrow", 7)
    feature = SPEC.features[0].model_copy(update={"values": texts})
    spec = SPEC.model_copy(update={"features": (feature,)})
    values = json.loads(spec.to_json())
    assert values["format_version"] == 5
    assert values["features"][0]["values"] == {"file": texts.file, "size": 7}
    again = TransformSpec.from_json(spec.to_json())
    assert again == spec
    assert (again.stored_texts, again.text_files) == ((texts,), None)
    assert (SPEC.stored_texts, again.features[0].cardinality) == ((), 9)


def test_a_text_of_an_older_format_is_not_parsed_for_its_number() -> None:
    text = '{"format_version": 4, "raw": "format_version'
    assert TRANSFORM.migrate_text(text, "x", DatasetError) == text.replace("4", "5")
    assert TRANSFORM.migrate_text(text.encode(), "x", DatasetError) == b'{"format_version": 5' + (
        text[20:].encode()
    )


def test_an_older_format_is_migrated() -> None:
    migrated = TransformSpec.from_json(changed(format_version=2))
    assert migrated == SPEC.model_copy(update={"rules": None})
