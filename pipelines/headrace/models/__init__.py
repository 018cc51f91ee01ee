"""Build Keras models from the recipe, one family per file; predict with them and export them."""
