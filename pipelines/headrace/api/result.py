"""What the stages of a recipe came to, in a notebook."""

from collections.abc import Mapping, Sequence
from typing import Any

from headrace.api.dataset import Dataset
from headrace.api.html import Report, format_section, format_table
from headrace.api.model import Model
from headrace.errors import OptionError
from headrace.number_text import format_number
from headrace.tracking.store import Store

_VERDICTS = {True: "passed", False: "failed", None: "none, the recipe has no gates"}


class RunResult:
    """The result of `headrace.run`.

    Attributes:
        stages: the stages that were run.
        values: what the commands print with `--json`, merged.
    """

    def __init__(self, stages: Sequence[str], values: Mapping[str, Any], store: Store) -> None:
        """
        Args:
            stages, values: see the attributes.
            store: where runs and models are.
        """
        self.stages, self.values = tuple(stages), dict(values)
        self._store = store

    @property
    def metrics(self) -> dict[str, float]:
        """Return the metrics: of the best epoch, `test_…` of the test split; {} of `prepare`."""
        return dict(self.values.get("metrics", {}))

    @property
    def verdict(self) -> dict[str, Any] | None:
        """Return the verdict as `verdict.json` has it; None where nothing was evaluated."""
        return self.values.get("verdict")

    @property
    def passed(self) -> bool | None:
        """Return whether the model passed all gates; None where there are none, or no verdict."""
        return (self.verdict or {}).get("passed")

    @property
    def run_id(self) -> str | None:
        """Return the MLflow run of the model; None where none was trained or evaluated."""
        return self.values.get("run_id")

    @property
    def run_url(self) -> str | None:
        """Return the address of the run's page in MLflow; of all stages together that of their
        parent. Of a store without a server it is there while `mlflow ui` runs."""
        return self.values.get("pipeline_run_url") or self.values.get("run_url")

    @property
    def dataset(self) -> Dataset:
        """Return the dataset version that was prepared, or that was trained or evaluated on."""
        from headrace.lake.version import DatasetVersion

        dataset = self.values["dataset"]
        return Dataset(DatasetVersion.open(dataset["path"], dataset["version"]))

    @property
    def model(self) -> Model:
        """Return the model that was trained or evaluated.

        Raises:
            OptionError: these stages have none.
        """
        uri, run_id = self.values.get("model_uri"), self.values.get("run_id")
        if not uri or not run_id:
            raise OptionError(f"the stages {', '.join(self.stages)} have no model; run train")
        return Model(self._store, uri, run_id)

    @property
    def report(self) -> Report:
        """Return the report of the evaluation; where nothing was evaluated, that of the data.

        Raises:
            ModelError: MLflow does not have it any more, or does not answer.
        """
        from headrace.tracking.read_back import read_run_text

        path = self.values.get("evaluation_report")
        if not path:
            return self.dataset.report()
        page = read_run_text(self._store, self.values["run_id"], path)
        return Report(f"Evaluation of {self.values['model_uri']}", page)

    def __repr__(self) -> str:
        facts = [f"stages {', '.join(self.stages)}"]
        if self.verdict is not None:
            facts.append(f"verdict {_VERDICTS[self.passed]}")
        if "model_uri" in self.values:
            facts.append(self.values["model_uri"])
        return f"RunResult({'; '.join(facts)})"

    def _repr_html_(self) -> str:
        dataset = self.values["dataset"]
        facts: list[tuple[str, object]] = [
            ("dataset", f"{dataset['path']}, version {dataset['version']}")
        ]
        if "model_uri" in self.values:
            facts.append(("model", f"{self.values['model_uri']} (takes raw rows)"))
        if self.verdict is not None:
            facts.append(("verdict", _VERDICTS[self.passed]))
            facts += [
                ("passed" if gate["passed"] else "FAILED", gate["text"])
                for gate in self.verdict["gates"]
            ]
        shown = [name for name in self.values.get("headline", []) if name in self.metrics]
        if not shown:
            shown = [name for name in self.metrics if name.startswith(("train_loss", "val_"))]
        metrics = [(name, format_number(self.metrics[name])) for name in shown]
        title = f"Headrace: {', '.join(self.stages)}"
        return format_section(title, format_table(facts), format_table(metrics))
