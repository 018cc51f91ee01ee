"""Hold the options of a training step, and make them from the recipe."""

from dataclasses import dataclass

from headrace.distributed.rank.collectives import Collectives
from headrace.labels.kind import RowLosses
from headrace.recipe import Recipe
from headrace.train.augment import Augmentation
from headrace.train.retrieval import RetrievalLoss
from headrace.transform.spec import TransformSpec


@dataclass(frozen=True)
class StepOptions:
    """The options of a step beside loss, gradient and update.

    Attributes:
        label_smoothing: see `LabelKind.make_row_losses`.
        compute_row_losses: loss under `train.loss`, smoothed; None for that of the label's kind.
        hides_padding: whether the loss may be undefined for the zeros of padding rows.
        accumulate: number of batches of an update.
        compression: `none`, `fp16` or `bf16`, for gradients that travel between ranks.
        augmentation: applied to the rows; None for none.
        seed: seed of dropout, with which the rank is mixed.
        retrieval: loss of a two-tower model, in place of one by row; None for other families.
        shards: canonical shards that this rank's batch is made of, one after the other.
    """

    label_smoothing: float = 0.0
    compute_row_losses: RowLosses | None = None
    hides_padding: bool = False
    accumulate: int = 1
    compression: str = "none"
    augmentation: Augmentation | None = None
    seed: int = 0
    shards: int = 1
    retrieval: RetrievalLoss | None = None


def make_step_options(
    recipe: Recipe,
    spec: TransformSpec,
    collectives: Collectives,
    shards: int = 1,
    retrieval: RetrievalLoss | None = None,
) -> StepOptions:
    """Make the options of a rank's steps from the recipe; `shards` are those of its batches."""
    settings = recipe.train
    return StepOptions(
        label_smoothing=settings.label_smoothing,
        compute_row_losses=spec.label.make_row_losses(settings.label_smoothing),
        hides_padding=spec.label.loss is not None and spec.label.loss.may_be_undefined,
        accumulate=settings.accumulate,
        compression=settings.compression,
        augmentation=Augmentation(
            settings.augment,
            images=tuple(f.name for f in spec.select_features("image")),
            seed=settings.seed,
            rank=collectives.rank,
            size=collectives.size,
        ),
        seed=settings.seed,
        shards=shards,
        retrieval=retrieval,
    )
