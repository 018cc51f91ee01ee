"""Which models cannot be built over which features, and in what words."""

import pytest

from headrace.models.compatibility import fit_problems
from headrace.recipe.sections import Cnn, Mlp, Model, Rnn, Transformer
from headrace.transform.spec import FittedFeature, ImageFeature, SeriesFeature
from tests.models.specs import EVERY, IMAGE, NUMBER, SERIES, spec_of

LONGER = SeriesFeature(name="long", column="tide", length=7)
SECOND = ImageFeature(name="second", column="photo", height=4, width=4, channels=1)


@pytest.mark.parametrize(
    "model",
    [Mlp(kind="mlp"), Cnn(kind="cnn"), Rnn(kind="rnn"), Transformer(kind="transformer")],
)
def test_every_family_takes_what_it_does_not_read_beside(model: Model) -> None:
    assert fit_problems(model, spec_of(*EVERY)) == []


@pytest.mark.parametrize(
    ("model", "features", "where", "words"),
    [
        (Cnn(kind="cnn"), (NUMBER,), "model.kind", "one feature of kind image, there is none"),
        (Cnn(kind="cnn"), (IMAGE, SECOND), "model.kind", "there is photo, second"),
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
def test_misfits(model: Model, features: tuple[FittedFeature, ...], where: str, words: str) -> None:
    (problem,) = fit_problems(model, spec_of(*features))
    assert problem.where == where
    assert words in str(problem)


def test_series_of_different_lengths_are_no_matter_to_an_mlp() -> None:
    assert fit_problems(Mlp(kind="mlp"), spec_of(SERIES, LONGER)) == []
