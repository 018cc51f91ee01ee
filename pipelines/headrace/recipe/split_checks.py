"""Check the keys of a recipe's split against each other."""

import math

from headrace.errors import Problem
from headrace.recipe import sections as s
from headrace.recipe.times import is_distance, parse_distance_to_micros, parse_time_to_micros

_DATES = ("validation_from", "test_from")
_SHARES = ("validation", "test")


def check_split(split: s.Split) -> list[Problem]:
    """Return problems of keys that exclude each other, and of fractions or times that fit no
    rows."""
    problems = []
    if (split.key is None) == (split.time is None):
        choice = "neither key nor time" if split.key is None else "both key and time"
        problems.append(Problem("split", choice, "give one of them"))
    if split.time:
        if "fractions" in split.model_fields_set:
            fix = "remove it; shares of the newest rows are split.time.validation and .test"
            problems.append(Problem("split.fractions", "a split by time has no fractions", fix))
        return problems + _check_time(split.time)
    fractions = split.fractions
    total = fractions.train + fractions.validation + fractions.test
    if not math.isclose(total, 1.0, abs_tol=1e-9):
        problems.append(Problem("split.fractions", f"they add up to {total:g}", "must be 1"))
    if fractions.train == 0:
        problems.append(Problem("split.fractions.train", "got 0", "nothing would be trained on"))
    return problems


def _check_time(time: s.TimeSplit) -> list[Problem]:
    """Return problems of boundaries: two dates, two distances, or two shares are wanted."""
    given = [key for key in (*_DATES, *_SHARES) if getattr(time, key) is not None]
    choice = (
        "give validation_from and test_from (two dates, or two distances from the newest row, as "
        "-30 days), or validation and test (shares of the newest rows)"
    )
    if not given:
        return [Problem("split.time", "has no boundaries", choice)]
    shares = [key for key in given if key in _SHARES]
    if shares and shares != given:
        text = f"{given[0]} is given too"
        return [Problem(f"split.time.{shares[0]}", text, f"one form of both: {choice}")]
    missing = [key for key in (_SHARES if shares else _DATES) if key not in given]
    if missing:
        text = f"required key is missing: {given[0]} is given alone"
        return [Problem(f"split.time.{missing[0]}", text, "give both")]
    return _check_shares(time) if shares else _check_times(time)


def _check_shares(time: s.TimeSplit) -> list[Problem]:
    problems = []
    shares = {key: getattr(time, key) for key in _SHARES}
    for key, share in shares.items():
        if not 0 < share < 1:
            text = f"got {share:g}, expected a share of the rows"
            problems.append(Problem(f"split.time.{key}", text, "a number above 0 and below 1"))
    total = sum(shares.values())
    if not problems and total > 1 - 1e-9:
        text = f"with validation it adds up to {total:g}, which leaves nothing to train on"
        problems.append(Problem("split.time.test", text, "give less than 1 together"))
    return problems


def _check_times(time: s.TimeSplit) -> list[Problem]:
    problems: list[Problem] = []
    texts = {key: getattr(time, key) for key in _DATES}
    distances = [key for key, text in texts.items() if is_distance(text)]
    micros = {}
    for key, text in texts.items():
        try:
            # A distance is how far a boundary lies before the newest row.
            micros[key] = (
                -parse_distance_to_micros(text) if key in distances else parse_time_to_micros(text)
            )
        except ValueError as error:
            problems.append(Problem(f"split.time.{key}", f"got {text!r}", _advise(text, error)))
    if len(micros) < len(_DATES):
        return problems
    first, second = (f"{key}: {texts[key]}" for key in _DATES)
    if len(distances) == 1:
        text = f"{second} beside {first}: one is a date, the other a distance from the newest row"
        return [Problem("split.time.test_from", text, "give two dates or two distances")]
    if micros["validation_from"] > micros["test_from"]:
        text = f"lies before validation_from ({second}, {first})"
        return [Problem("split.time.test_from", text, "exchange them: test are the newest rows")]
    if distances and micros["validation_from"] == micros["test_from"]:
        text = f"is where validation begins ({second}, {first}), so no row is validation"
        return [Problem("split.time.test_from", text, "give a shorter distance")]
    return []


def _advise(text: str, error: ValueError) -> str:
    """Return what a text that is no boundary should be."""
    if is_distance(text):
        return f"expected {error}"
    distance = f"-{text.strip().removeprefix('+').strip()}"
    try:
        parse_distance_to_micros(distance)
    except ValueError:
        return "an ISO 8601 date or time, or a distance from the newest row such as -30 days"
    return f"did you mean {distance}, a distance from the newest row?"
