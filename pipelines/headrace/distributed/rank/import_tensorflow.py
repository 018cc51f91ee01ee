"""Import TensorFlow in a rank without the libraries that Keras imports for what no rank does.

Keras imports matplotlib to show pictures, scikit-learn to be one of its estimators, and pandas to
take frames, each of them only where it is installed: a third of the processor time of
`import tensorflow` (3.2 and 2.1 s). Whoever wants one of them later imports it as always.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from headrace.garbage import pause_collection
from headrace.quiet import silence_imports

_UNUSED = ("matplotlib", "pandas", "sklearn")


def import_tensorflow() -> None:
    """Import TensorFlow and Keras, which are silent about it."""
    with silence_imports(), pause_collection(), _hide_modules(_UNUSED):
        import tensorflow  # noqa: F401


@contextmanager
def _hide_modules(names: Sequence[str]) -> Iterator[None]:
    """Have imports of these modules fail in the block as those of modules that are not installed;
    what is imported already stays so."""
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None: no such module
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
