"""Whether a model can be built over a fitted transform; needs no engine, so it is asked early."""

from headrace.errors import Problem
from headrace.recipe import sections as s
from headrace.recipe.model_requirements import model_problems
from headrace.transform.spec import ImageFeature, SeriesFeature, TokensFeature, TransformSpec


def fit_problems(model: s.Model, spec: TransformSpec) -> list[Problem]:
    """What keeps `model` from being built over the inputs and the label of `spec`."""
    problems = model_problems(
        model,
        tokens=[f.name for f in spec.shaped if isinstance(f, TokensFeature)],
        series={f.name: f.length for f in spec.shaped if isinstance(f, SeriesFeature)},
        images=[f.name for f in spec.shaped if isinstance(f, ImageFeature)],
        plain=bool(spec.inputs.keys() & {"numeric", "categorical"}),
    )
    what = {"classes": "classes", "multi_label": "labels"}.get(spec.label.kind)
    if what and len(spec.label.classes) < 2:
        there = ", ".join(spec.label.classes) or "none"
        problems.append(Problem("label.kind", f"the train split has not two {what}, only: {there}"))
    return problems
