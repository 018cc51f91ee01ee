"""Check, early and without an engine, that a model can be built over a fitted transform."""

from headrace.errors import Problem
from headrace.recipe import sections as s
from headrace.recipe.model_requirements import find_model_problems, find_pair_problems
from headrace.transform.spec import TransformSpec


def find_compatibility_problems(model: s.Model, spec: TransformSpec) -> list[Problem]:
    """Return the problems that keep a model from being built; empty where it can be built.

    Args:
        model: the recipe's section.
        spec: fitted transform, with the inputs and the label.
    """
    problems = find_model_problems(
        model,
        tokens=[f.name for f in spec.select_features("tokens")],
        series={f.name: f.shape[0] for f in spec.select_features("series")},
        images=[f.name for f in spec.select_features("image")],
        plain=bool(spec.inputs.keys() & {"numeric", "categorical"}),
        categorical=bool(spec.categorical),
        features=[feature.name for feature in spec.features],
    )
    if isinstance(model, s.TwoTower):
        problems += find_pair_problems(spec.label.kind)
    nouns = spec.label.definition.class_nouns
    if nouns and len(spec.label.classes) < 2:
        names = ", ".join(spec.label.classes) or "none"
        problems.append(
            Problem("label.kind", f"the train split has fewer than two {nouns}, only: {names}")
        )
    return problems
