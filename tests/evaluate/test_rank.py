"""An evaluation on one rank, with a model of one neuron and a dataset in memory."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from headrace.distributed.rank.collectives import SoloCollectives
from headrace.errors import DatasetError
from headrace.evaluate import champion_rows, rank
from headrace.evaluate.predictions import POSITION
from headrace.evaluate.references.compute import References
from headrace.features.scaled import ScaledFeature
from headrace.features.vocabulary import VocabularyFeature
from headrace.lake.build import Build, StoredColumn
from headrace.lake.ledger import Ledger
from headrace.models.build import build_model
from headrace.progress import Progress
from headrace.recipe.sections import Mlp
from headrace.tracking.golden import GoldenCheck
from headrace.tracking.model import ModelVersion
from headrace.transform.spec import RawColumn, TransformSpec
from tests.pages.reading import check_page
from tests.tiny import tiny_recipe

ROWS = 200
SPEC = TransformSpec(
    raw=(
        RawColumn(name="amount", kind="real", nullable=True),
        RawColumn(name="shop", kind="string", nullable=True),
    ),
    derived=(),
    features=(
        ScaledFeature(name="amount", column="amount"),
        VocabularyFeature(name="shop", column="shop", values=("a", "b")),
    ),
)
RANDOM = np.random.default_rng(1)
AMOUNT = RANDOM.normal(size=(ROWS, 1)).astype(np.float32)
LABEL = (AMOUNT[:, 0] + RANDOM.normal(size=ROWS) > 0).astype(np.float32)
ROW_ID = np.arange(ROWS) // 10  # ten rows of each key
INPUTS = {"numeric": AMOUNT, "categorical": RANDOM.integers(2, 4, (ROWS, 1)).astype(np.int32)}
OVERRIDES = (
    "evaluate.importance_rows=1000",
    "evaluate.slices=[{columns: [shop]}]",
    "evaluate.min_rows=10",
    "evaluate.bootstrap=5",
)
GATES = (
    "evaluate.gates=[{kind: metric, metric: roc_auc, at_least: 0.6},"
    " {kind: latency, at_most_milliseconds: 5.0, rows: 1}]"
)
CHAMPION_GATE = "evaluate.gates=[{kind: champion, metric: roc_auc, not_worse_by: 0.01}]"


class Dataset:
    """A dataset version whose splits have the same rows, but no rows for validation."""

    root, version, digest, transform_json = "s3://key:secret@lake/tiny", 4, "d1", ""
    text_files = None
    build = Build(
        build_id="b-1",
        created_at="2026-01-01T00:00:00+00:00",
        headrace_version="1",
        recipe={"label": {"expression": "amount > 3"}},
        sources={},
        ledger=Ledger(
            read=401, published={"train": ROWS, "test": ROWS}, quarantined={}, duplicates=1,
            filtered={},
        ),
        files=(),
        label_kind="binary",
        transform_digest="d",
        stored={"shop": StoredColumn(name="raw_shop", type="string")},
    )  # fmt: skip

    def count_rows(self, split: str) -> int:
        return 0 if split == "validation" else ROWS

    def read_columns(self, split: str, columns: list[str]) -> pa.Table:
        shops = np.array([None, None, "a", "b"], object)[INPUTS["categorical"][::-1, 0]]
        table = {"row_id": pa.array(ROW_ID[::-1].copy()), "raw_shop": pa.array(shops)}
        return pa.table({name: table[name] for name in columns})


class Run:
    """An MLflow run that notes what is logged to it, in order."""

    def __init__(self) -> None:
        self.logged: list[str] = []
        self.texts: dict[str, str] = {}
        self.metrics: dict[str, float] = {}

    def read_curve(self, name: str) -> list[tuple[int, float]]:
        return [(0, 0.5), (1, 0.4)] if name in ("train_loss", "val_loss") else []

    def log_metrics(self, values: dict[str, float]) -> None:
        self.metrics.update(values)
        self.logged.append("metrics")

    def log_figures(self, figures: dict[str, Any]) -> None:
        self.logged.extend(figures)

    def log_text(self, text: str, path: str) -> None:
        self.texts[path] = text
        self.logged.append(path)


class World:
    """What a rank reads and writes."""

    def __init__(self, tmp_path: Path) -> None:
        self.workdir, self.run = str(tmp_path), Run()
        self.progress: list[str] = []
        self.downloads: list[str] = []
        model = build_model(Mlp(kind="mlp", hidden=[1]), SPEC)
        model.get_layer("hidden.0").set_weights([np.array([[1.0], [0], [0]]), np.array([9.0])])
        model.get_layer("output.dense").set_weights([np.array([[2.0]]), np.array([-18.0])])
        self.model_file = tmp_path / "model.keras"
        model.save(self.model_file)

    def download(self, store: object, model: ModelVersion, name: str, folder: str) -> str:
        self.downloads.append(model.uri)
        return str(self.model_file)

    def evaluate(
        self, *overrides: str, champion: dict[str, Any] | None = None, collectives: Any = None
    ) -> dict[str, Any]:
        recipe = tiny_recipe(Path(self.workdir), *OVERRIDES, *overrides)
        payload = {
            "recipe": recipe.dump_resolved(),
            "workdir": self.workdir,
            "dataset": {"root": Dataset.root, "version": 4},
            "model_uri": "models:/tiny/3",
            "model_bytes": 1000,
            "run_id": "r",
            "prefix": "test",
            "folder": "evaluation/test",
            "threshold": 0.5,
            "champion": champion,
            "now": "2024-05-01T00:00:00+00:00",
        }
        return rank.evaluate_rank(payload, collectives or SoloCollectives(), self.report)

    def report(self, progress: Progress) -> None:
        self.progress.append(progress.text)


def predict_rows(
    dataset: Dataset, spec: TransformSpec, predictor: Any, split: str, *_: Any
) -> dict[str, np.ndarray]:
    output = predictor.predict_inputs(INPUTS)
    positions = np.arange(ROWS)[::-1]
    return {"row_id": ROW_ID, "label": LABEL, "probability": output, POSITION: positions}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    world = World(tmp_path)

    @contextmanager
    def resume_run(store: object, run_id: str) -> Iterator[Run]:
        yield world.run

    monkeypatch.setattr(champion_rows.DatasetVersion, "open", lambda root, version: Dataset())
    monkeypatch.setattr(champion_rows.TransformSpec, "from_json", lambda text, **_: SPEC)
    monkeypatch.setattr(rank, "find_model", lambda store, uri: ModelVersion(uri[8:-2], 3, "r", {}))
    monkeypatch.setattr(rank, "download_model_file", world.download)
    for module in (rank, champion_rows):
        monkeypatch.setattr(module, "predict_rows", predict_rows)
    monkeypatch.setattr(rank, "sample_inputs", lambda *_: (INPUTS, {"label": LABEL}))
    monkeypatch.setattr(rank, "resume_run", resume_run)
    facts = {"train_rows": ROWS, "constant_rows": ROWS, "weighted": False}
    references = References(np.array(LABEL.mean()), None, {"tree": "it is none"}, facts, {})
    monkeypatch.setattr(rank, "find_references", lambda *_: references)
    golden = GoldenCheck(9, 0.0, 0, 0.1, {1: [2.0] * 50})
    monkeypatch.setattr(rank, "check_golden", lambda store, model, rows: golden)
    return world


def test_rank_0_logs_everything_and_the_verdict_last(world: World) -> None:
    result = world.evaluate(GATES)
    assert result["verdict"]["passed"] is True
    metrics = {f"test/{n}": v for n, v in result["metrics"].items()}
    assert metrics.items() <= world.run.metrics.items()
    of_constant = {name for name in world.run.metrics if name not in metrics}
    assert {"test/constant_log_loss", "test/constant_roc_auc"} <= of_constant
    assert world.run.metrics["test/constant_roc_auc"] == 0.5
    assert result["metrics"]["rows"] == ROWS
    plots = [name for name in world.run.logged if name.startswith("plots/test/")]
    assert {"plots/test/importance.png", "plots/test/slices.png", "plots/test/roc_and_pr.png"} <= {
        *plots
    }
    assert world.run.logged == [
        "metrics", *plots, "evaluation/test/slices.json", "evaluation/test/report.html",
        "evaluation/test/card.md", "evaluation/test/verdict.json",
    ]  # fmt: skip
    assert result["card"] == world.run.texts["evaluation/test/card.md"]


def test_the_verdict_holds_gates_facts_and_all_numbers(world: World) -> None:
    result = world.evaluate(GATES)
    verdict = json.loads(world.run.texts["evaluation/test/verdict.json"])
    assert result["verdict"].items() <= verdict.items()
    assert [gate["text"][:30] for gate in verdict["gates"]] == [
        f"roc_auc: {result['metrics']['roc_auc']:.6g}, at least 0.6"[:30],
        "95th percentile of 50 predicti",
    ]
    assert verdict["dataset"]["version"] == 4
    assert "secret" not in json.dumps(verdict)
    assert "secret" not in world.run.texts["evaluation/test/report.html"]
    amount, shop = verdict["importance"]
    assert (amount["feature"], shop["feature"], shop["loss"]) == ("amount", "shop", 0.0)
    assert {item["feature"] for item in verdict["single_features"]} == {"amount", "shop"}


def test_the_report_names_classes_and_shows_the_worst_rows_with_their_values(world: World) -> None:
    world.evaluate()
    reader = check_page(world.run.texts["evaluation/test/report.html"])
    assert "amount ≤ 3" in reader.texts and "amount > 3" in reader.texts
    (table,) = [a for a in reader.find("table") if "data-raw-columns" in a]
    assert json.loads(str(table["data-raw-columns"])) == ["", "", "", "shop"]
    page = world.run.texts["evaluation/test/report.html"]
    worst = page.split("data-raw-columns")[1].split("</table>")[0]
    assert worst.count("<tr") == 1 + 20
    # The dataset has the rows in another order; each row has its own shop.
    probability = [float(v) for v in re.findall(r"&gt; 3: ([\d.]+)%", worst)]
    assert len(probability) == 20
    world.evaluate("evaluate.worst_rows=0")
    assert "data-raw-columns=" not in world.run.texts["evaluation/test/report.html"]


def test_the_card_tells_data_metrics_and_how_to_call_the_model(world: World) -> None:
    card = world.evaluate(GATES)["card"]
    for text in (
        "## Purpose", "## Metrics", "## Verdict: passed", "## Data", "## Limits", "`roc_auc`",
        "the constant", "401 read, 400 published, 1 duplicates", "`amount` (real)",
        'mlflow.pyfunc.load_model("models:/tiny/3")', "shop=a",
    ):  # fmt: skip
        assert text in card, text
    assert "secret" not in card


def test_slices_are_of_the_rows_whose_predictions_they_score(world: World) -> None:
    """The dataset gives rows in another order than predictions come."""
    world.evaluate()
    slices = json.loads(world.run.texts["evaluation/test/slices.json"])
    is_a = INPUTS["categorical"][:, 0] == 2
    rows = {item["value"]: (item["rows"], item["metrics"]["positives"]) for item in slices}
    assert rows == {
        "shop=a": (is_a.sum(), LABEL[is_a].sum()),
        "shop=b": ((~is_a).sum(), LABEL[~is_a].sum()),
    }


def test_rows_in_another_order_than_were_predicted_are_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Dataset.read_columns

    def read_shifted(self: Dataset, split: str, columns: list[str]) -> pa.Table:
        return read(self, split, columns).take(np.roll(np.arange(ROWS), 1))

    monkeypatch.setattr(Dataset, "read_columns", read_shifted)
    with pytest.raises(DatasetError, match="test rows came in another order"):
        world.evaluate()


def test_what_a_reader_has_to_know_of_slices_is_said_everywhere(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_ids(self: Dataset, split: str, columns: list[str]) -> pa.Table:
        ids = INPUTS["categorical"][::-1, 0].copy()
        return pa.table({"row_id": ROW_ID[::-1].copy(), "shop": ids}).select(columns)

    monkeypatch.setattr(Dataset, "read_columns", read_ids)
    older = Dataset.build.model_copy(update={"stored": {}})  # of an older release
    monkeypatch.setattr(Dataset, "build", older)
    world.evaluate()
    slices = json.loads(world.run.texts["evaluation/test/slices.json"])
    assert {item["value"] for item in slices} == {"shop=a", "shop=b"}
    (note,) = json.loads(world.run.texts["evaluation/test/verdict.json"])["slice_notes"]
    assert note.startswith("shop was restored from ids")
    assert f"slices: {note}" in world.progress
    assert "shop was restored from ids" in world.run.texts["evaluation/test/report.html"]


def test_the_champion_is_compared_on_the_same_rows(world: World) -> None:
    champion = {
        "uri": "models:/tiny/2", "same": False, "why_not": "", "threshold": 0.5, "loss": None,
        "dataset": {"root": "/data", "version": 3},
    }  # fmt: skip
    (gate,) = world.evaluate(CHAMPION_GATE, champion=champion)["verdict"]["gates"]
    assert gate["passed"] is True
    assert "0 better than models:/tiny/2" in gate["text"]
    assert gate["details"]["rows"] == gate["details"]["of"] == ROWS
    assert len(world.downloads) == 2
    assert "comparing with the champion, models:/tiny/2" in world.progress


@pytest.mark.parametrize(
    ("champion", "passed", "text"),
    [
        (None, True, "there is no champion to compare with"),
        ({"uri": "models:/tiny/3", "same": True, "why_not": ""}, True, "is the champion itself"),
        ({"uri": "models:/tiny/2", "same": False, "why_not": "it is gone"}, False,
         "no comparison: it is gone"),
    ],
)  # fmt: skip
def test_a_champion_that_cannot_be_compared_is_not_loaded(
    world: World, champion: dict[str, Any] | None, passed: bool, text: str
) -> None:
    (gate,) = world.evaluate(CHAMPION_GATE, champion=champion)["verdict"]["gates"]
    assert (gate["passed"], len(world.downloads)) == (passed, 1)
    assert text in gate["text"]


class LastRank(SoloCollectives):
    """Rank 1 of two, on another machine: it gets the model's bytes from rank 0."""

    rank, size = 1, 2

    def __init__(self, content: bytes) -> None:
        super().__init__()
        # Where rank 0 has the file, by which token it is known, how large it is; then its bytes.
        # Twice: the champion, too. Datasets are not sent.
        file = [["/of/rank 0/model.keras", "token", len(content)], content]
        self._messages = [None, *file, *file, None]

    def broadcast_object(self, value: Any, root: int = 0) -> Any:
        return self._messages.pop(0)

    def allgather(self, array: np.ndarray) -> np.ndarray:
        return np.concatenate([array, array])


def test_other_ranks_join_in_and_log_nothing(world: World) -> None:
    champion = {
        "uri": "models:/tiny/2", "same": False, "why_not": "", "threshold": 0.5, "loss": None,
        "dataset": {"root": "/data", "version": 3},
    }  # fmt: skip
    collectives = LastRank(world.model_file.read_bytes())
    assert world.evaluate(CHAMPION_GATE, champion=champion, collectives=collectives) == {}
    assert (world.downloads, world.run.logged) == ([], [])


def test_without_gates_in_the_recipe_the_model_has_to_be_better_than_the_constant(
    world: World,
) -> None:
    verdict = world.evaluate("evaluate.gates=null")["verdict"]
    kinds = [(gate["gate"]["kind"], gate["gate"].get("metric")) for gate in verdict["gates"]]
    assert kinds == [("finite", None), ("baseline", "log_loss"), ("baseline", "accuracy")]
    assert verdict["references"]["left_out"] == {"tree": "it is none"}
    assert "than the constant by" in verdict["references"]["words"]["log_loss"]
    assert "the tree is left out: it is none" in world.run.texts["evaluation/test/report.html"]


def test_where_there_is_no_gate_nothing_was_judged(world: World) -> None:
    assert world.evaluate("evaluate.gates=[]")["verdict"]["passed"] is None
    assert "nothing was judged" in world.run.texts["evaluation/test/report.html"]


@pytest.mark.parametrize("references", ["", "evaluate.references=[constant]"])
def test_a_sketched_evaluation_is_the_exact_one_within_bounds(
    world: World, monkeypatch: pytest.MonkeyPatch, references: str
) -> None:
    """With trees rank 0 needs all rows, and without them some, for figures alone."""
    monkeypatch.setattr(rank, "predict_own_rows", lambda *arguments: predict_rows(*arguments[:4]))
    gathered: list[int | None] = []

    def gather(rows: dict, *rest: Any) -> dict:
        gathered.append(rest[2])
        return rows

    monkeypatch.setattr(rank, "gather_rows", gather)
    options = (GATES, "evaluate.slices=[]", *([references] if references else []))
    exact = world.evaluate(*options, "evaluate.exact_rows=200")
    assert "bounds" not in json.loads(world.run.texts["evaluation/test/verdict.json"])
    result = world.evaluate(*options, "evaluate.exact_rows=100")
    assert gathered == [100 if references else None]
    verdict = json.loads(world.run.texts["evaluation/test/verdict.json"])
    assert {*verdict["bounds"]} == {"roc_auc", "pr_auc"}
    for name, value in exact["metrics"].items():
        assert abs(result["metrics"][name] - value) <= verdict["bounds"].get(name, 0) + 1e-12
    bound = verdict["bounds"]["roc_auc"]
    assert 0 < bound < 0.1
    assert world.run.metrics["test/roc_auc_bound"] == bound
    assert " within ± " in verdict["gates"][0]["text"]
    page = world.run.texts["evaluation/test/report.html"]
    assert "200 test rows are more than evaluate.exact_rows (100)" in page
    assert '>roc_auc</th><td class="n"' in page
    assert " ± 0.0" in page
    words = {kind: r["references"]["words"]["log_loss"] for kind, r in
             (("exact", exact["verdict"]), ("sketched", result["verdict"]))}  # fmt: skip
    assert words["exact"].split(" ± ")[0] == words["sketched"].split(" ± ")[0]
