"""Build the model and the optimizer of a recipe, with initial weights."""

import keras

from headrace.distributed.rank.collectives import Collectives
from headrace.models.build import build_model
from headrace.models.load import check_loadable
from headrace.models.table_storage import build_tables
from headrace.recipe import Recipe
from headrace.tracking.run import make_artifact_folder
from headrace.train.optimizer import build_optimizer
from headrace.train.row_optimizer import AnyOptimizer
from headrace.train.sharded_tables import make_table_builder
from headrace.train.tables import TableTraining, choose_table_training, list_row_variables
from headrace.transform.spec import TransformSpec


def build_initial_model(
    recipe: Recipe,
    spec: TransformSpec,
    collectives: Collectives,
) -> tuple[keras.Model, AnyOptimizer, list[TableTraining]]:
    """Build model and optimizer; the caller has still to broadcast the weights of rank 0.

    Args:
        recipe: model, train.optimizer, train.precision and train.seed count.
        spec: the dataset's transform.
        collectives: the rank is mixed into the seed.

    Returns:
        model, optimizer, and the tables that are not trained as other weights are.

    Raises:
        ModelError: the user's own model cannot be loaded again.
    """
    settings = recipe.train
    shard_above = recipe.model.embeddings.shard_above
    # Ranks with other rows of one table draw them by the same seed.
    own_seed = settings.seed + (collectives.rank if shard_above is None else 0)
    keras.utils.set_random_seed(own_seed)
    keras.config.set_dtype_policy(settings.precision)
    with build_tables(make_table_builder(shard_above, collectives)):
        model = build_model(recipe.model, spec)
    if collectives.rank == 0 and recipe.model.kind == "python":
        # Hours before it is registered: layers of the user's own may not be found again.
        with make_artifact_folder() as folder:
            check_loadable(
                model, str(folder / "model.keras"), f"the model of {recipe.model.function}"
            )
    tables = choose_table_training(model, settings)
    optimizer = build_optimizer(
        settings.optimizer,
        settings.precision,
        list_row_variables(tables),
        [table.variable for table in tables if table.shard],
        collectives,
    )
    optimizer.build(model.trainable_variables)
    return model, optimizer, tables
