"""A card tells what a model is for and how good it is, and nothing of the data is Markdown."""

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings

from headrace.evaluate.bootstrap import Interval
from headrace.evaluate.card import CardInputs, escape_markdown, write_card
from headrace.evaluate.headline import Headline
from headrace.evaluate.leakage import FeatureStrength
from headrace.evaluate.slices import SliceResult
from tests.pages.reading import TEXTS

GATE = {"gate": {"kind": "metric"}, "passed": False, "text": "roc_auc: 0.6, at least 0.7"}
INPUTS = CardInputs(
    name="flights",
    model_uri="models:/flights/3",
    model_kind="mlp",
    label_kind="binary",
    expression="arr_delay > 15",
    class_names=("arr_delay ≤ 15", "arr_delay > 15"),
    loss="binary cross-entropy",
    dataset="/lake/flights",
    dataset_version=4,
    build_id="b-1",
    ledger={"read": 1000, "published": 900, "filtered": 100, "duplicates": 0},
    splits={"train": 600, "validation": 200, "test": 100},
    split=["by the key day (train 0.6)"],
    verdict={"passed": False, "gates": [GATE]},
    headlines=[Headline("log_loss", 0.512, (0.5, 0.52), {"the constant": 0.69}, "lower")],
    confidence=0.95,
    metric="roc_auc",
    slices=[
        SliceResult(("c",), "c=UA", 90, False, {"roc_auc": 0.6},
                    {"roc_auc": Interval(0.6, 0.5, 0.7)}),
        SliceResult(("c",), "c=AA", 3, True, {"roc_auc": 0.1}),
    ],
    strengths=[FeatureStrength("copy", 0.99, 0.95)],
    columns={"carrier": "string"},
)  # fmt: skip


def test_a_card_has_all_that_its_reader_needs() -> None:
    card = write_card(INPUTS)
    headings = re.findall(r"^## (\w+)", card, re.MULTILINE)
    assert headings == ["Purpose", "Metrics", "Verdict", "Data", "Slices", "Limits", "How"]
    for text in (
        "Predicts `arr_delay > 15` (binary)",
        "| `log_loss` | lower | 0.512 | 0.5 to 0.52 | 0.69 |",
        "1,000 read, 900 published, 100 filtered",
        "600 train, 200 validation, 100 test rows; by the key day",
        "| c=UA | 90 | 0.6 | 0.5 to 0.7 |",
        "1 more slices are in slices.json.",
        "- **failed**: roc\\_auc: 0.6, at least 0.7",
        "`copy` alone predicts the label suspiciously well (0.99)",
        "`carrier` (string)",
        'mlflow.pyfunc.load_model("models:/flights/3")',
        "headrace score RECIPE --model models:/flights/3",
    ):
        assert text in card, text


def test_what_there_is_none_of_is_left_out_or_said() -> None:
    nothing = {"passed": None, "gates": []}
    card = write_card(
        replace(INPUTS, slices=[], headlines=[], strengths=[], verdict=nothing, class_names=())
    )
    assert "## Slices" not in card and "## Metrics" not in card
    assert "## Verdict: not judged: the recipe has no gates" in card
    assert "It was compared with no baseline." in card


@pytest.mark.parametrize(
    ("text", "written"),
    [("a_b*c", r"a\_b\*c"), ("<script>", r"\<script\>"), ("a\n# b | c", r"a \# b \| c"),
     ("[x](javascript:1)", r"\[x\](javascript:1)"),
     ("x" * 200, "x" * 120 + "… (80 more characters)")],
)  # fmt: skip
def test_texts_stay_texts(text: str, written: str) -> None:
    assert escape_markdown(text) == written


@settings(max_examples=50, deadline=None)
@given(TEXTS)
def test_no_text_adds_a_line_a_heading_or_a_column(text: str) -> None:
    plain = write_card(INPUTS)
    changed = replace(
        INPUTS, name=text, expression=text, class_names=(text, text), dataset=text,
        slices=[replace(INPUTS.slices[0], value=text), INPUTS.slices[1]], split=[text],
        strengths=[FeatureStrength(text, 0.99, 0.95)], columns={text: "string"},
        verdict={"passed": False, "gates": [{**GATE, "text": text}]},
    )  # fmt: skip
    card = write_card(changed)
    card.encode()
    assert len(card.splitlines()) == len(plain.splitlines())
    bars = [len(re.findall(r"(?<!\\)\|", line)) for line in card.splitlines()]
    assert bars == [len(re.findall(r"(?<!\\)\|", line)) for line in plain.splitlines()]
    assert not re.search(r"(?<![\\`])<script", re.sub(r"`[^`]*`", "", card))
