"""Say which columns of a model's inputs hold each feature; no engine is needed for it."""

from headrace.features.kinds import get_form
from headrace.transform.spec import TransformSpec


def locate_features(spec: TransformSpec) -> dict[str, tuple[str, tuple[int, ...] | None]]:
    """Return feature -> the input that holds it, and its columns there.

    Columns are counted, in the order in which the inputs are made of features: what a column is
    called does not say whose it is. They are None where the feature has an input of its own.
    """
    locations: dict[str, tuple[str, tuple[int, ...] | None]] = {}
    numbers = ids = 0
    for feature in spec.features:
        form = get_form(feature)
        if form == "numbers":
            count = len(feature.dataset_columns)
            locations[feature.name] = ("numeric", tuple(range(numbers, numbers + count)))
            numbers += count
        elif form == "ids":
            locations[feature.name] = ("categorical", (ids,))
            ids += 1
        else:
            locations[feature.name] = (feature.name, None)
    return locations
