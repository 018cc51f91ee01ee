"""The typed recipe: what one pipeline does, read from YAML, every problem reported at once."""

from headrace.recipe.load import build_recipe, load_recipe
from headrace.recipe.sections import Recipe

__all__ = ["Recipe", "build_recipe", "load_recipe"]
