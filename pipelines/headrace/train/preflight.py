"""Whether a recipe can train on a dataset version; asked before any rank is started."""

from pydantic import ValidationError

from headrace.errors import DatasetError, RecipeError, TrainError
from headrace.lake.transform_file import transform_digest
from headrace.lake.version import DatasetVersion
from headrace.models.compatibility import fit_problems
from headrace.recipe import Recipe
from headrace.recipe.model_requirements import metric_problems
from headrace.transform.spec import TransformSpec


def trainable_spec(recipe: Recipe, dataset: DatasetVersion) -> TransformSpec:
    """The dataset's transform, after a look at whether the recipe's model can learn from it.

    Raises:
        DatasetError: transform.json is not the one that was published.
        RecipeError: the model's family lacks inputs, or early stopping its metric.
    """
    spec = published_spec(dataset)
    problems = fit_problems(recipe.model, spec)
    problems += metric_problems(recipe.train, spec.label.kind)
    if problems:
        source = f"{recipe.name} (with dataset {dataset.root} version {dataset.version})"
        raise RecipeError(source, problems)
    return spec


def published_spec(dataset: DatasetVersion) -> TransformSpec:
    """The dataset's transform.

    Raises:
        DatasetError: transform.json is not the one that was published, or of another Headrace.
    """
    where = f"dataset {dataset.root} version {dataset.version}: transform.json"
    try:
        spec = TransformSpec.from_json(dataset.transform_json, where)
    except ValidationError as error:
        problem = error.errors()[0]
        raise DatasetError(
            f"{where} is damaged or of "
            f"another Headrace: {problem['msg']} at {problem['loc']}; prepare the dataset again"
        ) from None
    if transform_digest(dataset.transform_json) != dataset.build.transform_digest:
        raise DatasetError(f"{where} was changed after it was published; prepare the dataset again")
    return spec


def check_validation(recipe: Recipe, dataset: DatasetVersion) -> None:
    """Whether there are validation rows for what follows them.

    Raises:
        TrainError: there are none.
    """
    if dataset.rows("validation"):
        return
    for key, wants in (
        ("train.early_stopping", recipe.train.early_stopping is not None),
        ("train.schedule", recipe.train.schedule.kind == "plateau"),
        ("evaluate.threshold", not isinstance(recipe.evaluate.threshold, float)),
    ):
        if wants:
            raise TrainError(
                f"{key} needs validation rows, and the validation split of dataset "
                f"{dataset.root} version {dataset.version} is empty; give "
                f"split.fractions.validation or split.key more room, or change {key}"
            )
