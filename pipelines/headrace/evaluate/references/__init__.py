"""Fit what a model has to be better than: a constant, and boosted trees on the prepared columns."""
