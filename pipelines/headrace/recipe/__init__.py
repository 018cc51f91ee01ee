"""The typed recipe: what one pipeline does, read from YAML, every problem reported at once."""

from headrace.recipe.load import load_recipe, recipe_from_tree
from headrace.recipe.sections import Recipe

__all__ = ["Recipe", "load_recipe", "recipe_from_tree"]
