"""Make a model the champion: only with a verdict that it passed, and after a look at it anew."""

import os
from dataclasses import dataclass

from headrace.errors import GateError, ModelError
from headrace.evaluate.gates import is_asked
from headrace.progress import Progress, Report
from headrace.recipe import Recipe
from headrace.tracking.golden import Checked, check_golden
from headrace.tracking.model import find_model
from headrace.tracking.registry import Moved, champion_of, roll_back, verdict_of
from headrace.tracking.registry import promote as move_champion
from headrace.tracking.store import Store


@dataclass(frozen=True)
class Promoted:
    """What a promotion leaves.

    Attributes:
        model_uri: the champion.
        moved: from which version.
        golden: the check of recorded predictions.
    """

    model_uri: str
    moved: Moved
    golden: Checked


def promote(
    recipe: Recipe, *, workdir: str, report: Report, model_uri: str | None = None
) -> Promoted:
    """Move the alias `champion`.

    Args:
        recipe: tracking is read.
        workdir: local folder; holds the MLflow store where no other is configured.
        report: told of progress.
        model_uri: the newest version of the recipe's model by default.

    Raises:
        ModelError: there is no such model, it has no verdict, or the champion is another one than
            it was compared with.
        GateError: the verdict is that it failed, or the model does not give what was recorded.
        In every case the alias is where it was.
    """
    store = Store.of(recipe, workdir, os.environ)
    model = find_model(store, model_uri)
    if model.name != store.registered_model:
        raise ModelError(
            f"{model.uri} is no version of {store.registered_model}, the model of recipe "
            f"{recipe.name}; promote it with its own recipe, or set tracking.registered_model"
        )
    decided = verdict_of(store, model)
    champion = champion_of(store)
    if not decided["passed"]:
        failed = [gate["text"] for gate in decided["gates"] if not gate["passed"]]
        lines = "\n".join(f"  - {text}" for text in failed)
        raise GateError(
            f"model {model.uri} did not pass {len(failed)} of {len(decided['gates'])} gates, "
            f"decided {decided['decided_at']}; the champion stays "
            f"{champion.uri if champion else 'none'}:\n{lines}"
        )
    if not is_asked(recipe.evaluate, decided["asked"]):
        raise ModelError(
            f"model {model.uri} was judged by other gates than the recipe has now; run `headrace "
            f"evaluate` with --model {model.uri} again, and the same --set in both"
        )
    is_now = champion.uri if champion else None
    if is_now not in (decided["champion"], model.uri):
        raise ModelError(
            f"model {model.uri} was compared with {decided['champion'] or 'no champion'}, and the "
            f"champion is {is_now or 'none'} now; run `headrace evaluate` with --model {model.uri} "
            "again"
        )
    judged_at = decided["metrics"].get("threshold")
    if judged_at is not None and judged_at != model.facts.get("threshold", 0.5):
        raise ModelError(
            f"model {model.uri} was judged with a threshold of {judged_at:g} and has "
            f"{model.facts.get('threshold', 0.5):g}; run `headrace evaluate` without another "
            "evaluate.threshold, or train again with it"
        )
    report(Progress("loading the model anew and comparing it with what was recorded"))
    golden = check_golden(store, model)
    if not golden.passed:
        raise GateError(
            f"model {model.uri}, loaded anew, differs in {golden.different} of {golden.rows} rows "
            f"from what was recorded in training (by up to {golden.largest_difference:.3g}); the "
            "champion stays as it is. Was the model's artifact changed, or is this another "
            "TensorFlow?"
        )
    return Promoted(model.uri, move_champion(store, model), golden)


def rollback(recipe: Recipe, *, workdir: str) -> Moved:
    """Move the alias `champion` back to the version before.

    Raises:
        ModelError: there is none.
    """
    return roll_back(Store.of(recipe, workdir, os.environ))
