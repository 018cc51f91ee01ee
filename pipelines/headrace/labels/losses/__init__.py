"""Hold the losses that a recipe may name under `train.loss`, a module each.

A loss knows which kinds of label it fits, its gradient (as a function of tensors), its value per
row in float64, the constant that minimizes it, and its metrics. Formulas, sources and units are in
docs/losses.md.
"""
