"""Build the network and the optimizer of a recipe, with the weights of one rank."""

import keras

from headrace.distributed.rank.collectives import Collectives
from headrace.models.build import build_model
from headrace.recipe import Recipe
from headrace.tracking.store import Store
from headrace.train.optimizer import build_optimizer
from headrace.train.warm_start import take_weights
from headrace.transform.spec import TransformSpec


def built_model(
    recipe: Recipe, spec: TransformSpec, collectives: Collectives, store: Store
) -> tuple[keras.Model, keras.optimizers.Optimizer]:
    """Model and optimizer; weights are to be those of one rank."""
    settings = recipe.train
    keras.utils.set_random_seed(settings.seed + collectives.rank)
    keras.config.set_dtype_policy(settings.precision)
    model = build_model(recipe.model, spec)
    if settings.initial_model and collectives.rank == 0:
        take_weights(model, settings.initial_model, store)
    optimizer = build_optimizer(settings.optimizer, settings.precision)
    optimizer.build(model.trainable_variables)
    return model, optimizer
