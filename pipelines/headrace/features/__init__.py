"""Kinds of feature: one module per kind, which knows everything that depends on it.

`kinds.KINDS` lists them, `kind.FeatureKind` says what each one fills in: the recipe's sections, the
fitted form in `transform.json`, the statistics it is fitted on, its kernels on Arrow batches and on
TensorFlow tensors, and how reports show it. Other rooms ask the kind and do not distinguish
kinds. Modules that are no kind hold what several kinds share. TensorFlow and Pillow are imported
inside the functions that use them: a recipe is read without either.
"""
