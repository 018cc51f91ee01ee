"""What one rank of an evaluation does: predict its share of the splits, then join in."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pyarrow as pa

from headrace.distributed.rank.collectives import Collectives
from headrace.evaluate.champion_comparison import compare_with
from headrace.evaluate.gates import Champion, Judged, asked_of, judge_gates, verdict
from headrace.evaluate.importance import Importance, importances, losses_of
from headrace.evaluate.judge import Evidence, as_json, judge, metric_of
from headrace.evaluate.leakage import Strength, strengths
from headrace.evaluate.predictions import Rows, predicted_rows, sampled_inputs
from headrace.evaluate.report import report_html
from headrace.evaluate.slices import as_rows, columns_of
from headrace.lake.data_file import SplitName
from headrace.lake.version import DatasetVersion
from headrace.models.predict import Predictor
from headrace.progress import Progress, Report
from headrace.recipe import Recipe
from headrace.recipe.metric_names import DIRECTIONS, MAIN
from headrace.redaction import redact_text
from headrace.tracking.golden import check_golden
from headrace.tracking.model import find_model, model_file
from headrace.tracking.run import resume_run
from headrace.tracking.store import Store
from headrace.transform.multi_label import row_keys
from headrace.transform.spec import TransformSpec

_TRAIN_ROWS = 50_000  # whose predictions are shown beside those of the other splits
_LEAK_ROWS = 20_000  # on which single features are looked at where importance is not measured
_SAMPLE_BYTES = 256 * 2**20  # of the model's inputs that importance is measured on
_CURVES = (
    *("train_loss", "val_loss", "val_roc_auc", "val_accuracy", "val_mae"),
    *("val_roc_auc_macro", "val_f1_micro", "val_exact_match"),
)


def evaluate_rank(
    payload: dict[str, Any], collectives: Collectives, report: Report
) -> dict[str, Any]:
    """Evaluate on this rank; see `run.evaluate` for the payload and the result."""
    return _Rank(payload, collectives, report).evaluate()


class _Rank:
    def __init__(self, payload: dict[str, Any], collectives: Collectives, report: Report) -> None:
        self._payload, self._collectives, self._report = payload, collectives, report
        self._recipe = Recipe.model_validate(payload["recipe"])
        self._dataset, self._spec = _opened(payload["dataset"])
        self._store = Store.of(self._recipe, payload["workdir"], os.environ)
        self._threshold: float = payload["threshold"]

    def evaluate(self) -> dict[str, Any]:
        rank = self._collectives.rank
        predictor = Predictor(self._model_of(self._payload["model_uri"]))
        self._report(Progress(f"predicting {self._dataset.rows('test'):,} test rows"))
        test = self._rows(predictor, "test")
        validation = self._rows(predictor, "validation")
        train = self._rows(predictor, "train", _TRAIN_ROWS)
        importance, strong = self._features(predictor)
        champion = self._champion(test)
        if rank != 0:
            return {}
        return self._judged(
            Evidence(
                spec=self._spec,
                threshold=self._threshold,
                test=test,
                validation=validation,
                train=train,
                slice_columns=self._slice_columns(),
                history=self._history(),
                importances=importance,
                strengths=strong,
            ),
            champion,
        )

    def _model_of(self, uri: str) -> keras.Model:
        """A registered model; rank 0 asks for it, and gives it to ranks wherever they are."""
        with tempfile.TemporaryDirectory(prefix="headrace-evaluate-") as folder:
            content = None
            if self._collectives.rank == 0:
                model = find_model(self._store, uri)
                content = Path(model_file(self._store, model, "keras_model", folder)).read_bytes()
            file = Path(folder) / "given.keras"
            file.write_bytes(self._collectives.broadcast_object(content))
            return keras.saving.load_model(file, compile=False, safe_mode=True)

    def _rows(self, predictor: Predictor, split: SplitName, most: int | None = None) -> Rows:
        if not self._dataset.rows(split):
            return {}
        return predicted_rows(
            self._dataset, self._spec, predictor, split, self._recipe, self._collectives, most
        )

    def _features(self, predictor: Predictor) -> tuple[list[Importance], list[Strength]]:
        """What features are worth to the model, and what each says of the label by itself."""
        settings, label = self._recipe.evaluate, self._spec.label
        row_bytes = sum(
            np.dtype(item.dtype).itemsize * int(np.prod(item.shape))
            for item in self._spec.inputs.values()
        )
        rows = min(settings.importance_rows or _LEAK_ROWS, max(1, _SAMPLE_BYTES // row_bytes))
        self._report(Progress(f"measuring features on {rows:,} rows at most"))
        inputs, truth = sampled_inputs(
            self._dataset, self._spec, "test", self._recipe, self._collectives, rows
        )
        strong = strengths(inputs, truth, self._spec, settings.leakage)
        if not settings.importance_rows:
            return [], strong
        metric = settings.metric or MAIN[label.kind]

        def score(changed: Any) -> float:
            output = predictor.outputs(changed)
            return metric_of(output, truth, label, self._threshold, metric)

        share = (self._collectives.rank, self._collectives.size)
        found = losses_of(inputs, self._spec, score, seed=settings.seed, share=share)
        together = self._collectives.gather(found).reshape(share[1], *found.shape).sum(axis=0)
        if share[0] != 0:
            return [], []
        higher = DIRECTIONS[label.kind][metric] == "higher"
        whole = score(inputs)
        important = importances(self._spec, whole, together, higher_is_better=higher)
        return ([] if np.isnan(whole) else important), strong

    def _champion(self, test: Rows) -> Champion:
        """The comparison that the gates ask for; rank 0's counts."""
        known = self._payload["champion"]
        settings = self._recipe.evaluate
        if not known or not any(gate.kind == "champion" for gate in settings.gates):
            return Champion(known["uri"] if known else None)
        if known["same"] or known["why_not"]:
            return Champion(known["uri"], same=known["same"], why_not=known["why_not"])
        self._report(Progress(f"comparing with the champion, {known['uri']}"))
        dataset, spec = _opened(known["dataset"])
        predictor = Predictor(self._model_of(known["uri"]))
        others = predicted_rows(dataset, spec, predictor, "test", self._recipe, self._collectives)
        if self._collectives.rank != 0:
            return Champion()
        own = (test, self._spec.label, self._threshold)
        theirs = (others, spec.label, known["threshold"])
        return compare_with(known["uri"], own, theirs, settings)

    def _slice_columns(self) -> Any:
        """Of the test rows in the order in which they are judged."""
        kept = self._dataset.build.kept
        wanted = [
            name
            for item in self._recipe.evaluate.slices
            for name in columns_of(item, self._spec, kept)
        ]
        table = self._dataset.read("test", ["row_id", "label", *dict.fromkeys(wanted)])
        flat = table["label"].combine_chunks()
        label = flat.flatten().to_numpy() if pa.types.is_list(flat.type) else flat.to_numpy()
        keys = row_keys(label.reshape(-1, *self._spec.label.array[1]))
        order = np.lexsort((*keys, table["row_id"].to_numpy()))
        return table.take(order)

    def _history(self) -> dict[str, list[tuple[int, float]]]:
        with resume_run(self._store, self._payload["run_id"]) as run:
            found = {name: run.history(name) for name in _CURVES}
        return {name: values for name, values in found.items() if values}

    def _judged(self, evidence: Evidence, champion: Champion) -> dict[str, Any]:
        settings, payload = self._recipe.evaluate, self._payload
        self._report(Progress("computing metrics and intervals"))
        outcome = judge(evidence, settings)
        judged = Judged(
            metrics=outcome.metrics,
            slices=outcome.slices,
            champion=champion,
            model_bytes=payload["model_bytes"],
            latency=self._latency,
            label_kind=self._spec.label.kind,
        )
        decided = verdict(
            judge_gates(settings.gates, judged, evidence.strengths),
            model=payload["model_uri"],
            run_id=payload["run_id"],
            dataset={
                "root": redact_text(self._dataset.root),
                "version": self._dataset.version,
                "digest": self._dataset.digest,
            },
            champion=payload["champion"]["uri"] if payload["champion"] else None,
            decided_at=payload["now"],
            asked=asked_of(settings),
        )
        found = {**decided, **as_json(outcome, evidence)}
        page = report_html(
            title=f"{self._recipe.name}: {payload['model_uri']}",
            facts={
                "model": payload["model_uri"],
                "run": payload["run_id"],
                "dataset": f"{redact_text(self._dataset.root)}, version {self._dataset.version}",
                "evaluated": payload["now"],
                "champion": decided["champion"] or "none",
            },
            verdict=decided,
            metrics=outcome.metrics,
            intervals=outcome.intervals,
            confidence=settings.confidence,
            figures=outcome.figures,
            thresholds=outcome.thresholds,
            labels=outcome.labels,
            slices=outcome.slices,
            metric=outcome.metric,
            strengths=evidence.strengths,
        )
        self._report(Progress("logging metrics, plots and the report"))
        prefix, folder = payload["prefix"], payload["folder"]
        with resume_run(self._store, payload["run_id"]) as run:
            run.metrics({f"{prefix}_{name}": value for name, value in outcome.metrics.items()})
            run.figures({f"plots/{prefix}/{n}": figure for n, figure in outcome.figures.items()})
            run.text(json.dumps(as_rows(outcome.slices), indent=1), f"{folder}/slices.json")
            run.text(page, f"{folder}/report.html")
            # Last: who finds a verdict finds what it is based on.
            run.text(json.dumps(found, indent=1), f"{folder}/verdict.json")
        return {"metrics": outcome.metrics, "verdict": decided}

    def _latency(self, rows: int) -> list[float]:
        self._report(Progress(f"timing predictions of {rows} raw rows in a process of its own"))
        model = find_model(self._store, self._payload["model_uri"])
        return check_golden(self._store, model, [rows]).latency[rows]


def _opened(where: dict[str, Any]) -> tuple[DatasetVersion, TransformSpec]:
    dataset = DatasetVersion.open(where["root"], where["version"])
    return dataset, TransformSpec.from_json(dataset.transform_json)
