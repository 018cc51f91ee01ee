"""Collect what has to be known about the train rows: the variables that features are fitted on."""

from collections.abc import Mapping

from headrace.features.kind import FeatureSection
from headrace.features.kinds import find_feature_kind
from headrace.features.variables import Numbers, Texts

LABEL = "label"
"""Name of the label among the variables: a number, or the texts of classes."""


def collect_variables(features: Mapping[str, FeatureSection]) -> dict[str, Numbers | Texts]:
    """Return every variable that features are fitted on, by key, each once."""
    return {
        variable.key: variable
        for name, section in features.items()
        for variable in find_feature_kind(section).list_variables(name, section)
    }
