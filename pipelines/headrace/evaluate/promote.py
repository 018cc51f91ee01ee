"""Make a model the champion, if it has a verdict that it passed and still predicts as recorded."""

import os
from dataclasses import dataclass

from headrace.errors import GateError, ModelError
from headrace.evaluate.verdict_check import check_verdict
from headrace.number_text import format_exact, format_number
from headrace.progress import Progress, Report
from headrace.recipe import Recipe
from headrace.tracking.golden import GoldenCheck, check_golden
from headrace.tracking.model import find_model
from headrace.tracking.registry import AliasMove, find_champion, read_verdict, roll_back_champion
from headrace.tracking.registry import promote_model as move_champion
from headrace.tracking.store import Store


@dataclass(frozen=True)
class Promoted:
    """The result of a promotion.

    Attributes:
        model_uri: of the new champion.
        alias_move: from which version to which the alias was moved.
        golden: the check of recorded predictions.
        remarks: what the verdict does not say, in words.
        judged: whether the verdict is of any gate.
    """

    model_uri: str
    alias_move: AliasMove
    golden: GoldenCheck
    remarks: tuple[str, ...] = ()
    judged: bool = True


def promote(
    recipe: Recipe, *, workdir: str, report: Report, model_uri: str | None = None
) -> Promoted:
    """Move the alias `champion` to a model version; where an error is raised, it is not moved.

    Args:
        recipe: label, split, evaluate and tracking are read.
        workdir: local folder; holds the MLflow store where no other is configured.
        report: called with progress.
        model_uri: the newest version of the recipe's model by default.

    Raises:
        ModelError: there is no such model, it has no verdict, the verdict is about other settings,
            another label or another threshold, or the champion is not the one that the model was
            compared with.
        GateError: the verdict is that the model failed, or its predictions are not as recorded.
    """
    store = Store.from_recipe(recipe, workdir, os.environ)
    model = find_model(store, model_uri)
    if model.name != store.registered_model:
        raise ModelError(
            f"{model.uri} is no version of {store.registered_model}, the model of recipe "
            f"{recipe.name}; promote it with its own recipe, or set tracking.registered_model"
        )
    verdict = read_verdict(store, model)
    champion = find_champion(store)
    if verdict["passed"] is False:
        failed = [gate["text"] for gate in verdict["gates"] if not gate["passed"]]
        lines = "\n".join(f"  - {text}" for text in failed)
        raise GateError(
            f"model {model.uri} did not pass {len(failed)} of {len(verdict['gates'])} gates, "
            f"decided {verdict['decided_at']}; the champion stays "
            f"{champion.uri if champion else 'none'}:\n{lines}"
        )
    champion_uri = champion.uri if champion else None
    if champion_uri not in (verdict["champion"], model.uri):
        raise ModelError(
            f"model {model.uri} was compared with {verdict['champion'] or 'no champion'}, and the "
            f"champion is {champion_uri or 'none'} now; run `headrace evaluate` with --model "
            f"{model.uri} again"
        )
    remarks = check_verdict(recipe, verdict, model, champion)
    threshold = verdict["metrics"].get("threshold")
    if threshold is not None and threshold != model.metadata.get("threshold", 0.5):
        raise ModelError(
            f"model {model.uri} was judged with a threshold of {format_exact(threshold)} and has "
            f"{format_exact(model.metadata.get('threshold', 0.5))}; run `headrace evaluate` "
            "without another evaluate.threshold, or train again with it"
        )
    report(Progress("loading the model again and comparing its predictions with the recorded ones"))
    golden = check_golden(store, model)
    if not golden.passed:
        raise GateError(
            f"model {model.uri}, loaded again, predicts {golden.different} of {golden.rows} rows "
            "differently than recorded in training (by up to "
            f"{format_number(golden.largest_difference, 3)}); the champion is not changed. Was the "
            "model's artifact changed, or is this another version of TensorFlow?"
        )
    judged = verdict["passed"] is not None
    return Promoted(model.uri, move_champion(store, model, champion), golden, remarks, judged)


def roll_back(recipe: Recipe, *, workdir: str) -> AliasMove:
    """Move the alias `champion` back to the version before.

    Args:
        recipe: tracking is read.
        workdir: local folder; holds the MLflow store where no other is configured.

    Raises:
        ModelError: there is no champion, no version before it, or one that cannot be read.
    """
    return roll_back_champion(Store.from_recipe(recipe, workdir, os.environ))
