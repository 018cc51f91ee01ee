"""Define the kinds of label, one module per kind, which knows everything that depends on it.

`kinds.KINDS` lists them; `spec.LabelSpec` is a label once it is fitted. A kind says what the recipe
may ask for, what the dataset holds, how a network ends, what its loss is, what it predicts, and how
predictions are scored. Other packages ask the kind and do not distinguish kinds. Only NumPy and
Arrow run here; TensorFlow is imported inside the functions that make a loss.
"""
