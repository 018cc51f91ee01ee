"""Evaluate a model on one rank: predict its part of the splits; rank 0 analyzes and logs them."""

import json
import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pyarrow as pa

from headrace.columns.dataset_columns import ROW_ID
from headrace.distributed.rank.collectives import Collectives
from headrace.distributed.rank.gather_rows import CollectiveSums
from headrace.distributed.rank.shared_file import share_file
from headrace.errors import DatasetError
from headrace.evaluate.analysis import (
    Analysis,
    AnalysisInputs,
    analysis_to_dict,
    analyze_predictions,
    compute_metric,
    get_row_weights,
    weigh_rows,
)
from headrace.evaluate.card import CardInputs, write_card
from headrace.evaluate.champion_rows import compare_with_champion, open_dataset
from headrace.evaluate.class_names import name_label_classes
from headrace.evaluate.draw import draw_image
from headrace.evaluate.gates import (
    ChampionComparison,
    GateInputs,
    build_verdict,
    check_gates,
    comparison_to_dict,
    criteria_to_dict,
)
from headrace.evaluate.headline import Headline, list_headlines
from headrace.evaluate.importance import (
    Importance,
    compute_importances,
    limit_rows,
    score_permutations,
)
from headrace.evaluate.leakage import FeatureStrength, list_strengths, measure_strengths
from headrace.evaluate.predictions import (
    POSITION,
    PredictedRows,
    gather_rows,
    predict_own_rows,
    predict_rows,
    sample_inputs,
)
from headrace.evaluate.references.compare import (
    ReferenceComparison,
    collect_reference_metrics,
    compare_references,
)
from headrace.evaluate.references.compare import (
    comparison_to_dict as references_to_dict,
)
from headrace.evaluate.references.compute import References
from headrace.evaluate.references.kept import find_references
from headrace.evaluate.references.page import plot_references
from headrace.evaluate.report import render_report
from headrace.evaluate.sketched import SketchedRows, is_sketched, sketch_predictions
from headrace.evaluate.slices import SliceSource, find_slice_source, slices_to_list
from headrace.evaluate.worst_rows import WorstRows, choose_columns, format_values
from headrace.labels.ranking import LIST, describe_left_out
from headrace.lake.data_file import SPLITS, SplitName
from headrace.lake.split_definition import describe_split
from headrace.models.load import load_keras_model
from headrace.models.predict import Predictor
from headrace.pages.charts.frame import Figure
from headrace.progress import Progress, Report
from headrace.recipe import Recipe
from headrace.redaction import redact_text
from headrace.tracking.golden import check_golden
from headrace.tracking.metric_names import name_metrics
from headrace.tracking.model import download_model_file, find_model
from headrace.tracking.run import resume_run
from headrace.tracking.store import Store
from headrace.transform.list_columns import find_list_columns, number_lists
from headrace.user_function import import_function

_TRAIN_ROWS = 50_000  # train rows whose predictions are plotted beside those of the other splits
_LEAK_ROWS = 20_000  # rows on which features are measured where the recipe wants no importance
_SAMPLE_BYTES = 256 * 2**20  # size of the model's inputs on which features are measured, at most


def evaluate_rank(
    payload: dict[str, Any], collectives: Collectives, report: Report
) -> dict[str, Any]:
    """Evaluate on this rank.

    Args:
        payload: as `run.evaluate` builds it.
        collectives: of the ranks.
        report: called with progress.

    Returns:
        `metrics` and `verdict` on rank 0, nothing on other ranks.
    """
    return _RankEvaluation(payload, collectives, report).evaluate()


class _RankEvaluation:
    """The evaluation of one payload on one rank."""

    def __init__(self, payload: dict[str, Any], collectives: Collectives, report: Report) -> None:
        self._payload, self._collectives, self._report = payload, collectives, report
        self._recipe = Recipe.model_validate(payload["recipe"])
        self._dataset, spec = open_dataset(payload["dataset"], collectives)
        spec = spec.with_loss(self._recipe.train.loss)  # it is the model's, see `run.py`
        ranking = self._recipe.evaluate.ranking
        if ranking is not None:
            label = spec.label.with_cutoffs(ranking.at)
            spec = spec.model_copy(update={"label": label})
        self._spec = spec
        self._store = Store.from_recipe(self._recipe, payload["workdir"], os.environ)
        self._threshold: float = payload["threshold"]

    def evaluate(self) -> dict[str, Any]:
        """Predict, measure and compare on all ranks; analyze and log on rank 0."""
        if self._recipe.model.kind == "python":  # registers layers of the user's own with Keras
            import_function(self._recipe.model.function, "model.function")
        predictor = Predictor(self._load_model(self._payload["model_uri"]))
        # In a thread: they need no model, and no rank waits for them within a collective.
        threads = ThreadPoolExecutor(1, thread_name_prefix="headrace-references")
        try:
            return self._evaluate_model(predictor, self._start_references(threads))
        finally:
            threads.shutdown(wait=False, cancel_futures=True)

    def _start_references(self, threads: ThreadPoolExecutor) -> "Future[References] | None":
        """Begin to fit the references on rank 0; None on other ranks, or where none is wanted."""
        settings = self._recipe.evaluate
        if self._collectives.rank != 0 or not settings.references:
            return None
        return threads.submit(find_references, self._dataset, self._spec, settings)

    def _evaluate_model(
        self, predictor: Predictor, references: "Future[References] | None"
    ) -> dict[str, Any]:
        self._report(Progress(f"predicting {self._dataset.count_rows('test'):,} test rows"))
        test, sketched = self._predict_test(predictor)
        validation = self._predict_split(predictor, "validation", most=self._count_needed(sketched))
        train = self._predict_split(predictor, "train", _TRAIN_ROWS)
        importances, strengths = self._measure_features(predictor)
        test |= self._number_lists(test)
        comparison = self._compare_champion(test)
        if self._collectives.rank != 0:
            return {}
        slices = [
            find_slice_source(item, self._spec, self._dataset.build)
            for item in self._recipe.evaluate.slices
        ]
        return self._log_verdict(
            AnalysisInputs(
                spec=self._spec,
                threshold=self._threshold,
                test=test,
                validation=validation,
                train=train,
                slices=slices,
                slice_columns=self._read_slice_columns(slices, test),
                history=self._read_history(),
                importances=importances,
                strengths=strengths,
                sketched=sketched,
                class_names=self._name_classes(),
            ),
            comparison,
            references,
        )

    def _load_model(self, uri: str) -> keras.Model:
        """Load a registered model; rank 0 downloads it for all."""
        with tempfile.TemporaryDirectory(prefix="headrace-evaluate-") as folder:
            file = Path(folder) / "received.keras"
            if self._collectives.rank == 0:
                model = find_model(self._store, uri)
                file = Path(download_model_file(self._store, model, "keras_model", folder))
            with share_file(file, self._collectives) as shared:
                return load_keras_model(shared, f"model {uri}")

    def _predict_test(self, predictor: Predictor) -> tuple[PredictedRows, SketchedRows | None]:
        """Predict the test split, and sketch it on all ranks where it has very many rows.

        Returns:
            on rank 0 all rows, or of a sketched split those that something else needs; elsewhere
            none. And the sketch, or None.
        """
        spec, settings, collectives = self._spec, self._recipe.evaluate, self._collectives
        if not is_sketched(spec.label, self._dataset.count_rows("test"), settings):
            return self._predict_split(predictor, "test"), None
        own = predict_own_rows(self._dataset, spec, predictor, "test", self._recipe, collectives)
        self._report(Progress("adding up sums and histograms of all ranks"))
        ranks = CollectiveSums(collectives)
        sketched = sketch_predictions(own, spec.label, self._threshold, settings, ranks)
        return gather_rows(own, spec, collectives, self._count_needed(sketched)), sketched

    def _count_needed(self, sketched: SketchedRows | None) -> int | None:
        """Return how many rows of a split rank 0 needs, for figures; None where it needs all.

        It does where they are not sketched, and for slices, a champion, trees and baselines: those
        are of single rows. A constant's error is, too, but not a base rate's.
        """
        settings, label = self._recipe.evaluate, self._spec.label
        is_compared = any(gate.kind == "champion" for gate in settings.gates or [])
        of_rows = "tree" in settings.references or label.baseline or not label.has_threshold
        if sketched is None or settings.slices or is_compared or of_rows:
            return None
        return settings.exact_rows

    def _predict_split(
        self,
        predictor: Predictor,
        split: SplitName,
        max_rows: int | None = None,
        most: int | None = None,
    ) -> PredictedRows:
        """Predict a split; one without rows gives an empty dict, and ranks but 0 get no rows.

        Args:
            predictor: of the model.
            split: of the dataset.
            max_rows: about how many rows to predict; all by default.
            most: about how many predicted rows to gather; all by default.
        """
        if not self._dataset.count_rows(split):
            return {}
        if most is None:
            return predict_rows(
                self._dataset, self._spec, predictor, split, self._recipe, self._collectives,
                max_rows,
            )  # fmt: skip
        own = predict_own_rows(
            self._dataset, self._spec, predictor, split, self._recipe, self._collectives, max_rows
        )
        return gather_rows(own, self._spec, self._collectives, most)

    def _measure_features(
        self, predictor: Predictor
    ) -> tuple[list[Importance], list[FeatureStrength]]:
        """Return how much the model needs each feature, and how well each alone predicts the label.

        Importances are complete on rank 0 only, and empty where the recipe measures none or the
        metric is not defined.
        """
        settings, label = self._recipe.evaluate, self._spec.label
        row_bytes = sum(
            np.dtype(item.dtype).itemsize * int(np.prod(item.shape))
            for item in self._spec.inputs.values()
        )
        rows = min(settings.importance_rows or _LEAK_ROWS, max(1, _SAMPLE_BYTES // row_bytes))
        self._report(Progress(f"measuring features on {rows:,} rows at most"))
        inputs, facts = sample_inputs(
            self._dataset, self._spec, "test", self._recipe, self._collectives, rows
        )
        truth = facts["label"]
        rank, size = self._collectives.rank, self._collectives.size
        own_strengths = measure_strengths(inputs, truth, self._spec, rank=rank, size=size)
        all_strengths = self._sum_over_ranks(own_strengths)
        strengths = list_strengths(all_strengths, len(truth), self._spec, settings.leakage)
        if not settings.importance_rows:
            return [], strengths
        metric = settings.metric or label.main_metric
        weight = weigh_rows(facts, settings)["weight"]
        features, most = len(self._spec.features), len(truth)
        if (rows := limit_rows(most, features)) < most:
            text = f"importance of {features:,} features: on {rows:,} of these {most:,} rows"
            self._report(Progress(text))
            inputs = {name: array[:rows] for name, array in inputs.items()}
            truth, weight = truth[:rows], weight[:rows]

        def score_inputs(permuted: Any) -> float:
            output = predictor.predict_inputs(permuted)
            return compute_metric(output, truth, label, self._threshold, metric, weight)

        own_scores = score_permutations(
            inputs, self._spec, score_inputs, seed=settings.seed, rank=rank, size=size
        )
        scores = self._sum_over_ranks(own_scores)
        if rank != 0:
            return [], []
        baseline = score_inputs(inputs)
        importances = compute_importances(
            self._spec, baseline, scores, higher_is_better=label.definition.is_higher_better(metric)
        )
        return ([] if np.isnan(baseline) else importances), strengths

    def _sum_over_ranks(self, array: np.ndarray) -> np.ndarray:
        """Return the sum of an array that each rank has a share of, (features, …)."""
        gathered = self._collectives.allgather(array)
        total: np.ndarray = gathered.reshape(self._collectives.size, *array.shape).sum(axis=0)
        return total

    def _compare_champion(self, test: PredictedRows) -> ChampionComparison:
        """Compare with the champion as the gates require; on ranks but 0 the result is empty."""
        champion = self._payload["champion"]
        gates = self._recipe.evaluate.gates or []
        if not champion or not any(gate.kind == "champion" for gate in gates):
            return ChampionComparison(champion["uri"] if champion else None)
        if champion["same"] or champion["why_not"]:
            return ChampionComparison(
                champion["uri"],
                is_candidate=champion["same"],
                candidate_rows=len(test["label"]),
                obstacle=champion["why_not"],
            )
        return compare_with_champion(
            champion,
            (test, self._spec.label, self._threshold),
            Predictor(self._load_model(champion["uri"])),
            self._recipe,
            self._dataset,
            self._payload.get("seen"),
            self._collectives,
            self._report,
        )

    def _read_slice_columns(self, slices: Sequence[SliceSource], test: PredictedRows) -> pa.Table:
        """Return the columns that slices need, of the test rows in the order of the predictions.

        Rows are matched by their position: many may have one identity, which is that of their key.

        Raises:
            DatasetError: the rows are not those that were predicted.
        """
        names = [name for source in slices for name in source.dataset_columns]
        return self._read_test_columns(names, test)

    def _number_lists(self, test: PredictedRows) -> PredictedRows:
        """Return the list of each test row on rank 0; nothing elsewhere, or where there is none.

        Raises:
            ModelError: the dataset lacks a column.
        """
        ranking = self._recipe.evaluate.ranking
        if ranking is None or self._collectives.rank != 0:
            return {}
        columns, _ = find_list_columns(ranking, self._spec, self._dataset.build)
        names = [name for column in columns for name in column.dataset_columns]
        return {LIST: number_lists(columns, self._read_test_columns(names, test))}

    def _read_test_columns(self, columns: Sequence[str], test: PredictedRows) -> pa.Table:
        """Return columns of the test rows in the order of the predictions; see above."""
        names = dict.fromkeys(columns)
        if not names:
            return pa.table({})
        table = self._dataset.read_columns("test", [ROW_ID, *names]).take(test[POSITION])
        if not np.array_equal(table[ROW_ID].to_numpy(), test[ROW_ID]):
            raise DatasetError(
                f"dataset {self._dataset.root} version {self._dataset.version}: its test rows came "
                "in another order when they were read again, which is a defect of Headrace"
            )
        return table

    def _name_classes(self) -> tuple[str, ...]:
        """Return the names of the label's classes by the recipe of the dataset."""
        label = self._dataset.build.recipe.get("label") or {}
        expression = label.get("expression") or self._recipe.label.expression
        return name_label_classes(self._spec.label, str(expression))

    def _read_worst(self, inputs: AnalysisInputs, worst: WorstRows) -> WorstRows:
        """Return the worst rows with their raw values, those that lie beside the rows."""
        if not worst.positions:
            return worst
        build, settings = self._dataset.build, self._recipe.evaluate
        names = choose_columns(build, settings.slices, inputs.importances)
        stored = {name: build.stored[name].name for name in names}
        test = {name: inputs.test[name][list(worst.positions)] for name in (ROW_ID, POSITION)}
        rows = self._read_test_columns(list(stored.values()), test)
        values = {name: format_values(rows[column]) for name, column in stored.items()}
        return replace(worst, columns=values)

    def _write_card(
        self,
        inputs: AnalysisInputs,
        analysis: Analysis,
        verdict: dict[str, Any],
        headlines: Sequence[Headline],
    ) -> str:
        """Return the card of the model."""
        dataset, recipe, label = self._dataset, self._recipe, self._spec.label
        ledger = dataset.build.ledger
        return write_card(
            CardInputs(
                name=recipe.name,
                model_uri=self._payload["model_uri"],
                model_kind=recipe.model.kind,
                label_kind=label.kind,
                expression=redact_text(recipe.label.expression),
                class_names=inputs.class_names,
                loss=label.describe_loss(),
                dataset=redact_text(dataset.root),
                dataset_version=dataset.version,
                build_id=dataset.build.build_id,
                ledger={
                    "read": ledger.read,
                    "published": sum(ledger.published.values()),
                    "quarantined": sum(ledger.quarantined.values()),
                    "duplicates": ledger.duplicates,
                    "filtered": sum(ledger.filtered.values()),
                },
                splits={split: dataset.count_rows(split) for split in SPLITS},
                split=describe_split(dataset.build),
                verdict=verdict,
                headlines=headlines,
                confidence=recipe.evaluate.confidence,
                metric=analysis.metric,
                slices=analysis.slices,
                strengths=inputs.strengths,
                columns={column.name: column.kind for column in self._spec.raw},
                remarks=analysis.remarks,
            )
        )

    def _read_history(self) -> dict[str, list[tuple[int, float]]]:
        """Return the learning curves of the training: metric -> epochs and values."""
        metrics = self._spec.label.validation_metrics
        curves = ("train_loss", *(f"val_{name}" for name in metrics))
        with resume_run(self._store, self._payload["run_id"]) as run:
            history = {name: run.read_curve(name) for name in curves}
        return {name: values for name, values in history.items() if values}

    def _compare_references(
        self, inputs: AnalysisInputs, analysis: Analysis, references: "Future[References] | None"
    ) -> ReferenceComparison:
        """Compare with the references, which are waited for."""
        settings, label = self._recipe.evaluate, self._spec.label
        if references is None and "baseline" not in inputs.test:
            return ReferenceComparison()
        if references is not None and not references.done():
            rows = self._dataset.count_rows("train")
            self._report(Progress(f"fitting references on {rows:,} train rows at most"))
        return compare_references(
            references.result() if references else None,
            analysis.drawn,
            inputs.test,
            inputs.validation,
            get_row_weights(inputs.test, settings),
            label,
            self._threshold,
            settings,
            inputs.sketched,
        )

    def _log_verdict(
        self,
        inputs: AnalysisInputs,
        comparison: ChampionComparison,
        pending: "Future[References] | None",
    ) -> dict[str, Any]:
        """Analyze the predictions, check the gates, and log all of it to the model's run."""
        settings, payload = self._recipe.evaluate, self._payload
        self._report(Progress("computing metrics and intervals"))
        analysis = analyze_predictions(inputs, settings)
        references = self._compare_references(inputs, analysis, pending)
        drawn = plot_references(references)
        figures: dict[str, Sequence[Figure]] = {"references.png": drawn} if drawn else {}
        figures |= analysis.figures
        headlines = list_headlines(
            self._spec.label, analysis.metric, analysis.metrics, analysis.intervals, references
        )
        gate_inputs = GateInputs(
            metrics=analysis.metrics,
            slices=analysis.slices,
            comparison=comparison,
            model_bytes=payload["model_bytes"],
            measure_latency=self._time_predictions,
            label_kind=self._spec.label.kind,
            loss=self._spec.label.loss,
            threshold=self._threshold,
            references=references,
            bounds=analysis.drawn.bounds,
        )
        verdict = build_verdict(
            check_gates(settings.gates, gate_inputs, inputs.strengths),
            model=payload["model_uri"],
            run_id=payload["run_id"],
            dataset={
                "root": redact_text(self._dataset.root),
                "version": self._dataset.version,
                "digest": self._dataset.digest,
            },
            champion=payload["champion"]["uri"] if payload["champion"] else None,
            comparison=comparison_to_dict(comparison) if comparison.uri else None,
            task=payload.get("task"),
            decided_at=payload["now"],
            asked=criteria_to_dict(settings),
            references=references_to_dict(references),
        )
        page = render_report(
            title=f"{self._recipe.name}: {payload['model_uri']}",
            facts={
                "model": payload["model_uri"],
                "run": payload["run_id"],
                "dataset": f"{redact_text(self._dataset.root)}, version {self._dataset.version}",
                "loss": self._spec.label.describe_loss(),
                "evaluated": payload["now"],
                "champion": _describe_comparison(comparison, verdict["champion"]),
            },
            verdict=verdict,
            metrics=analysis.metrics,
            intervals=analysis.intervals,
            confidence=settings.confidence,
            figures=figures,
            thresholds=analysis.thresholds,
            labels=analysis.labels,
            slices=analysis.slices,
            metric=analysis.metric,
            strengths=inputs.strengths,
            weighted=settings.weighted and self._spec.label.weighted,
            notes=analysis.notes,
            references=references,
            bounds=analysis.drawn.bounds,
            remarks=analysis.remarks,
            headlines=headlines,
            worst=self._read_worst(inputs, analysis.worst),
        )
        card = self._write_card(inputs, analysis, verdict, headlines)
        if left_out := describe_left_out(analysis.metrics):
            self._report(Progress(f"ranking: {left_out}"))
        for remark in analysis.remarks:
            self._report(Progress(remark))
        for note in analysis.notes:
            self._report(Progress(f"slices: {note}"))
        self._report(Progress("logging metrics, plots and the report"))
        prefix, folder = payload["prefix"], payload["folder"]
        with resume_run(self._store, payload["run_id"]) as run:
            of_references = collect_reference_metrics(references)
            bounds = {f"{name}_bound": bound for name, bound in analysis.drawn.bounds.items()}
            logged = {**analysis.metrics, **bounds, **of_references}
            named = {f"{prefix}_{name}": value for name, value in logged.items()}
            run.log_metrics(name_metrics(named))
            run.log_figures(
                {f"plots/{prefix}/{n}": draw_image(shown) for n, shown in figures.items()}
            )
            slices = slices_to_list(analysis.slices)
            run.log_text(json.dumps(slices, indent=1), f"{folder}/slices.json")
            run.log_text(page, f"{folder}/report.html")
            run.log_text(card, f"{folder}/card.md")
            # Last, so that wherever there is a verdict there is also what it is based on.
            contents = {**verdict, **analysis_to_dict(analysis, inputs)}
            run.log_text(json.dumps(contents, indent=1), f"{folder}/verdict.json")
        return {
            "metrics": analysis.metrics,
            "verdict": verdict,
            "card": card,
            "headline": [item.name for item in headlines],
        }

    def _time_predictions(self, rows: int) -> list[float]:
        """Return the milliseconds of several predictions of that many raw rows."""
        self._report(Progress(f"timing predictions of {rows} raw rows in a separate process"))
        model = find_model(self._store, self._payload["model_uri"])
        return check_golden(self._store, model, [rows]).latency[rows]


def _describe_comparison(comparison: ChampionComparison, uri: str | None) -> str:
    """Return who the champion is, and by how many rows it was compared."""
    if uri is None or not comparison.shared_rows:
        return uri or "none"
    return f"{uri}, compared on {comparison.shared_rows:,} of {comparison.candidate_rows:,} rows"
