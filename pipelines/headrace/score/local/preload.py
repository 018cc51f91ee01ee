"""Import what a process that scores needs, before it gets a task.

TensorFlow takes seconds, in which the command lists the table and looks for the model.
"""

from headrace.quiet import silence_imports
from headrace.score.network import import_tensorflow

with silence_imports():
    import_tensorflow()

import headrace.score.local.tasks  # noqa: F401
