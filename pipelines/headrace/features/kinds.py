"""List the kinds of feature. A new one is a module beside this one and a line here."""

from typing import Any

from headrace.features.buckets import BucketsKind
from headrace.features.cyclic import CyclicKind
from headrace.features.hash import HashKind
from headrace.features.image import ImageKind
from headrace.features.kind import FeatureKind, FeatureSection, FittedFeature, Form
from headrace.features.scaled import ScaledKind
from headrace.features.series import SeriesKind
from headrace.features.tokens import TokensKind
from headrace.features.vocabulary import VocabularyKind

KINDS: tuple[FeatureKind[Any, Any], ...] = (
    ScaledKind(),
    BucketsKind(),
    VocabularyKind(),
    HashKind(),
    TokensKind(),
    CyclicKind(),
    SeriesKind(),
    ImageKind(),
)
"""In the order in which the recipe reference lists them."""

_KIND_OF_CLASS = {form: kind for kind in KINDS for form in (*kind.sections, kind.fitted)}


def find_feature_kind(feature: FeatureSection | FittedFeature) -> FeatureKind[Any, Any]:
    """Return the kind of a recipe's section or of a fitted feature."""
    return _KIND_OF_CLASS[type(feature)]


def get_form(feature: FeatureSection | FittedFeature) -> Form:
    """Return what a model reads of a feature."""
    return find_feature_kind(feature).form
