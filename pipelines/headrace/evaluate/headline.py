"""Choose the few metrics that say most about a model, with their intervals and baselines."""

from collections.abc import Mapping
from dataclasses import dataclass

from headrace.evaluate.bootstrap import Interval
from headrace.evaluate.references.compare import PHRASES, ReferenceComparison
from headrace.labels.constant import choose_score
from headrace.labels.spec import LabelSpec

MOST_HEADLINES = 5


@dataclass(frozen=True)
class Headline:
    """A metric of the headline.

    Attributes:
        name: of the metric.
        value: on the test rows.
        interval: its lower and upper end; None where there is none.
        baselines: name in words -> value of the same metric.
        direction: `higher` or `lower`, which way is better; None where neither is.
    """

    name: str
    value: float
    interval: tuple[float, float] | None
    baselines: Mapping[str, float]
    direction: str | None


def list_headlines(
    label: LabelSpec,
    metric: str,
    metrics: Mapping[str, float],
    intervals: Mapping[str, Interval],
    references: ReferenceComparison,
) -> list[Headline]:
    """Return the headline: the recipe's own metric, the proper score, then those that count.

    Args:
        label: what labels mean.
        metric: by which slices are ordered.
        metrics, intervals: of the test split.
        references: comparison with them.
    """
    kind = label.definition
    wanted = dict.fromkeys([metric, choose_score(label.kind, label.loss), *kind.tagged_metrics])
    names = [name for name in wanted if name in metrics][:MOST_HEADLINES]
    return [
        Headline(
            name=name,
            value=metrics[name],
            interval=_get_ends(intervals.get(name)),
            baselines={
                PHRASES[result.name]: result.metrics[name]
                for result in references.results
                if name in result.metrics
            },
            direction=kind.find_direction(name),
        )
        for name in names
    ]


def _get_ends(interval: Interval | None) -> tuple[float, float] | None:
    return None if interval is None else (interval.low, interval.high)


def describe_direction(headline: Headline) -> str:
    """Return which way is better in words; empty where neither is."""
    return f"{headline.direction} is better" if headline.direction else ""
