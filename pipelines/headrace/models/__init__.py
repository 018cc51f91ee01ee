"""Keras models from the recipe, one family a file, and their export with the transform inside."""
