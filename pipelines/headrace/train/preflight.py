"""Check that a recipe can train on a dataset version, before any rank is started."""

from pydantic import ValidationError

from headrace.errors import DatasetError, RecipeError, TrainError
from headrace.formats import describe_invalid
from headrace.labels.losses.custom import OwnLoss
from headrace.labels.losses.kinds import find_loss_problems
from headrace.lake.data_file import SPLITS, SplitName
from headrace.lake.version import DatasetVersion
from headrace.models.compatibility import find_compatibility_problems
from headrace.recipe import Recipe
from headrace.recipe.model_requirements import find_metric_problems
from headrace.stream.columns import (
    build_feature_columns,
    list_baseline_columns,
    list_weight_columns,
)
from headrace.stream.memory import StreamShape, choose_shape
from headrace.stream.split_stream import measure_split
from headrace.transform.list_columns import find_list_columns
from headrace.transform.slice_columns import find_slice_problems
from headrace.transform.spec import TransformSpec


def load_trainable_spec(recipe: Recipe, dataset: DatasetVersion) -> TransformSpec:
    """Load the dataset's transform, and check that the recipe's model can be trained on it.

    Raises:
        DatasetError: transform.json is not the one that was published.
        RecipeError: the model lacks inputs that it needs, or early stopping its metric; the loss
            does not fit the label, or its module is not found.
    """
    spec = load_published_spec(dataset)
    problems = find_compatibility_problems(recipe.model, spec)
    settings = recipe.train
    problems += find_loss_problems(settings.loss, spec.label.kind, settings.label_smoothing)
    problems += find_metric_problems(settings, spec.label.kind)
    if problems:
        source = f"{recipe.name} (with dataset {dataset.root} version {dataset.version})"
        raise RecipeError(source, recipe.locate(problems))
    if isinstance(settings.loss, OwnLoss):
        settings.loss.compute_digest(recipe.folder)
    return spec.with_loss(settings.loss)


def load_published_spec(dataset: DatasetVersion) -> TransformSpec:
    """Load the dataset's transform.

    Raises:
        DatasetError: transform.json is of a Headrace that this one cannot read.
    """
    location = f"dataset {dataset.root} version {dataset.version}: transform.json"
    try:
        spec = TransformSpec.from_json(dataset.transform_json, location, dataset.text_files)
    except ValidationError as error:
        raise DatasetError(
            f"{location} is damaged or of another Headrace: {describe_invalid(error)}; prepare the "
            "dataset again"
        ) from None
    return spec


def check_slices(recipe: Recipe, dataset: DatasetVersion) -> None:
    """Check that the model can be evaluated by the recipe's slices and lists, before it is trained.

    Raises:
        RecipeError: the dataset lacks a column, or limits do not fit its type.
    """
    ranking = recipe.evaluate.ranking
    if not recipe.evaluate.slices and ranking is None:
        return
    spec = load_published_spec(dataset)
    problems = find_slice_problems(recipe.evaluate.slices, spec, dataset.build)
    if ranking is not None:
        problems += find_list_columns(ranking, spec, dataset.build)[1]
    if problems:
        source = f"{recipe.name} (with dataset {dataset.root} version {dataset.version})"
        raise RecipeError(source, recipe.locate(problems))


def choose_stream_shapes(
    recipe: Recipe, dataset: DatasetVersion, spec: TransformSpec
) -> dict[SplitName, StreamShape]:
    """Choose how every split that has rows is cut, as the streams of a training will.

    Raises:
        StreamError: `stream.memory` is too little for the row groups of a split, or for the ranks.
    """
    extra = {
        "row_id": ("int64", "row_id"), **list_weight_columns(spec), **list_baseline_columns(spec),
    }  # fmt: skip
    columns = build_feature_columns(spec, extra)  # as evaluation reads them, which is the most
    settings, train = recipe.stream, recipe.train
    return {
        split: choose_shape(
            measure_split(dataset.list_files(split), columns, train.global_batch_size),
            canonical_shards=settings.canonical_shards,
            block_rows=settings.block_rows,
            memory=settings.memory,
            ranks=train.rank_count,
            readers=settings.readers,
        )
        for split in SPLITS
        if dataset.count_rows(split)
    }


def check_validation(recipe: Recipe, dataset: DatasetVersion) -> None:
    """Check that there are validation rows where a setting of the recipe needs them.

    Raises:
        TrainError: there are none.
    """
    if dataset.count_rows("validation"):
        return
    for key, is_needed in (
        ("train.early_stopping", recipe.train.early_stopping is not None),
        ("train.schedule", recipe.train.schedule.kind == "plateau"),
        ("evaluate.threshold", not isinstance(recipe.evaluate.threshold, float)),
    ):
        if is_needed:
            raise TrainError(
                f"{key} needs validation rows, and the validation split of dataset "
                f"{dataset.root} version {dataset.version} is empty; give "
                f"split.fractions.validation or split.key more room, or change {key}"
            )
