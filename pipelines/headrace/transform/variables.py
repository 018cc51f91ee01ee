"""What has to be known about the train rows: the variables that features are fitted on.

A variable is summarised once, however many features read it.
"""

import json
from dataclasses import dataclass

from headrace.recipe import sections as s
from headrace.transform.columns import Values
from headrace.transform.kernels import is_list, prescaled, words_of
from headrace.transform.spec import TokensFeature
from headrace.transform.statistics import NumberSummary, TextCounts

LABEL = "label"
"""Name of the label among the variables: a number, or the texts of classes."""

Statistics = dict[str, "NumberSummary | TextCounts"]
Limits = tuple[float | None, float | None]


@dataclass(frozen=True)
class Numbers:
    """A variable to summarise: a column's values after clipping to fixed limits and log1p."""

    column: str
    clip: Limits = (None, None)
    log1p: bool = False

    @property
    def key(self) -> str:
        return json.dumps(["numbers", self.column, *self.clip, self.log1p])

    def of(self, columns: dict[str, Values]) -> NumberSummary:
        values = columns[self.column]
        values = values.elements if is_list(values) else values
        numbers, missing = prescaled(values, self.clip, self.log1p)
        return NumberSummary.of(numbers[~missing])


@dataclass(frozen=True)
class Texts:
    """A variable to count: a column's values, a list's elements, or a text's words."""

    column: str
    words: TokensFeature | None = None

    @property
    def key(self) -> str:
        w = self.words
        return json.dumps(["texts", self.column, *([w.lower, w.strip_punctuation] if w else [])])

    def of(self, columns: dict[str, Values]) -> TextCounts:
        values = columns[self.column]
        if self.words is not None and not is_list(values):
            values = words_of(values, self.words)
        return TextCounts.of(values.elements if is_list(values) else values)


def variables_of(features: dict[str, "s.Feature"]) -> dict[str, "Numbers | Texts"]:
    """Everything that has to be known about the train rows, by key, each once."""
    found: list[Numbers | Texts] = []
    for name, feature in features.items():
        if isinstance(feature, s.Vocabulary | s.MultiValued | s.TextIds):
            if not (isinstance(feature, s.MultiValued) and feature.buckets):
                found.append(texts_of(name, feature))
        elif isinstance(feature, _OF_NUMBERS):
            found.append(numbers_of(name, feature))
            if getattr(feature, "impute", None) == "most_frequent":
                found.append(Texts(feature.column or name))
    return {variable.key: variable for variable in found}


_OF_NUMBERS = s.Standardize | s.MinMax | s.Robust | s.Log1p | s.QuantileBuckets | s.Series


def numbers_of(name: str, feature: object) -> Numbers:
    clip = getattr(feature, "clip", None)
    fixed = (clip.values[0], clip.values[1]) if clip and clip.values else (None, None)
    log1p = isinstance(feature, s.Log1p) or getattr(feature, "log1p", False)
    return Numbers(getattr(feature, "column", None) or name, fixed, log1p)


def texts_of(name: str, feature: "s.Vocabulary | s.MultiValued | s.TextIds") -> Texts:
    column = feature.column or name
    return (
        Texts(column, tokens_of(name, feature)) if isinstance(feature, s.TextIds) else Texts(column)
    )


def tokens_of(
    name: str, feature: "s.TextIds | s.MultiValued", values: tuple[str, ...] = ()
) -> TokensFeature:
    return TokensFeature(
        name=name,
        column=feature.column or name,
        length=feature.length,
        lower=getattr(feature, "lower", False),
        strip_punctuation=getattr(feature, "strip_punctuation", False),
        values=values,
        unknown_ids=feature.oov_ids,
        buckets=getattr(feature, "buckets", None),
    )
