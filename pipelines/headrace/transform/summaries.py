"""Collect the summaries of train rows that features are fitted on, each once."""

from collections.abc import Mapping

from headrace.features.kind import FeatureSection
from headrace.features.kinds import find_feature_kind
from headrace.features.summaries import SummaryRequest

LABEL_KEY = "label"
"""Key of the label's summary: of numbers, or of the texts of classes."""


def collect_summary_requests(features: Mapping[str, FeatureSection]) -> dict[str, SummaryRequest]:
    """Return the request for every summary that features are fitted on, by key, each once."""
    return {
        request.key: request
        for name, section in features.items()
        for request in find_feature_kind(section).list_summary_requests(name, section)
    }
