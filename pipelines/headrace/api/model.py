"""A registered model in a notebook: it takes raw rows, as every other reader of MLflow does."""

import tempfile
from functools import cached_property
from typing import TYPE_CHECKING, Any

from headrace.api.html import format_section, format_table
from headrace.tracking.store import Store

if TYPE_CHECKING:
    import pandas as pd


class Model:
    """A version of a registered model.

    Attributes:
        uri: `models:/NAME/VERSION`.
        run_id: MLflow run that trained it.
    """

    def __init__(self, store: Store, uri: str, run_id: str) -> None:
        """
        Args:
            store: that it is registered in.
            uri, run_id: see the attributes.
        """
        self._store, self.uri, self.run_id = store, uri, run_id

    @property
    def name(self) -> str:
        """Return the model's name in the registry."""
        return self.uri.removeprefix("models:/").rpartition("/")[0]

    @property
    def version(self) -> int:
        """Return the number of the version."""
        return int(self.uri.rpartition("/")[2])

    def load(self) -> Any:
        """Load the model once, and return it as an `mlflow.pyfunc.PyFuncModel`.

        Raises:
            ModelError: it is not there any more, or the registry does not answer.
        """
        return self._loaded[0]

    def predict(self, rows: "pd.DataFrame") -> "pd.DataFrame":
        """Predict raw rows: columns as the tables of the lake have them.

        Args:
            rows: one per prediction.

        Returns:
            the model's output columns, with the index of `rows`.
        """
        return self.load().predict(rows)

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        from headrace.tracking.read_back import load_pyfunc_model

        folder = tempfile.TemporaryDirectory(prefix="headrace-model-")
        return load_pyfunc_model(
            self._store, self.uri, folder.name
        ), folder  # removed with the model

    def __repr__(self) -> str:
        return f"Model({self.uri!r})"

    def _repr_html_(self) -> str:
        facts = [("uri", self.uri), ("run", self.run_id), ("tracking", self._store.redacted_uri)]
        return format_section(f"Model {self.name}, version {self.version}", format_table(facts))
