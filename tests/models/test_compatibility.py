"""Models that cannot be built over the features of a transform, and the messages."""

import pytest

from headrace.features.image import ImageFeature
from headrace.features.kind import FittedFeature
from headrace.features.series import SeriesFeature
from headrace.labels.spec import LabelSpec
from headrace.models.compatibility import find_compatibility_problems
from headrace.recipe.sections import Cnn, Mlp, Model, Rnn, Transformer
from tests.models.specs import EVERY, IMAGE, NUMBER, SERIES, make_spec

LONGER = SeriesFeature(name="long", column="tide", length=7)
SECOND = ImageFeature(name="second", column="photo", height=4, width=4, channels=1)


@pytest.mark.parametrize(
    "model",
    [Mlp(kind="mlp"), Cnn(kind="cnn"), Rnn(kind="rnn"), Transformer(kind="transformer")],
)
def test_every_family_takes_inputs_that_its_layers_do_not_read(model: Model) -> None:
    assert find_compatibility_problems(model, make_spec(*EVERY)) == []


@pytest.mark.parametrize(
    ("model", "features", "where", "words"),
    [
        (Cnn(kind="cnn"), (NUMBER,), "model.kind", "one feature of kind image, got 0: none"),
        (Cnn(kind="cnn"), (IMAGE, SECOND), "model.kind", "got 2: photo, second"),
        (Rnn(kind="rnn"), (IMAGE,), "model.kind", "rnn reads features of kind series"),
        (
            Rnn(kind="rnn"), (SERIES, LONGER), "model.kind",
            "of one length side by side, got features.tide.length 6, features.long.length 7",
        ),
        (Transformer(kind="transformer"), (SERIES, LONGER), "model.kind", "of one length"),
        (
            Transformer(kind="transformer", heads=3, width=8), (SERIES,), "model.width",
            "3 heads cannot share a width of 8",
        ),
        (
            Mlp(kind="mlp"), (SeriesFeature(name="logits", column="tide", length=2),),
            "features.logits", "the name is taken",
        ),
    ],
)  # fmt: skip
def test_problems_name_the_key_and_the_features(
    model: Model, features: tuple[FittedFeature, ...], where: str, words: str
) -> None:
    (problem,) = find_compatibility_problems(model, make_spec(*features))
    assert problem.where == where
    assert words in str(problem)


def test_an_mlp_takes_series_of_different_lengths() -> None:
    assert find_compatibility_problems(Mlp(kind="mlp"), make_spec(SERIES, LONGER)) == []


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (LabelSpec(kind="classes", classes=("a",)), "fewer than two classes, only: a"),
        (LabelSpec(kind="multi_label"), "fewer than two labels, only: none"),
    ],
)
def test_labels_need_two_classes(label: LabelSpec, message: str) -> None:
    (problem,) = find_compatibility_problems(Mlp(kind="mlp"), make_spec(NUMBER, label=label))
    assert problem.where == "label.kind"
    assert message in str(problem)
