"""Write numbers for people: with significant digits, and never as a round number that they are not.

A mean of 0.0000004 is not 0.0000, and a share of 0.995 is not 100%. Every report, console line,
tag and message has its numbers from here; exact values are in the JSON beside them.
"""

import math

_MOST_DIGITS = 15  # more than that are of float64's own rounding


def format_number(value: float, digits: int = 5) -> str:
    """Return a number with so many significant digits, more where it would look like 1.

    Whole numbers below 1e15 are written out, with commas. A number between 0 and 1 shows by how
    much it is below 1, as 0.99996 does.

    Args:
        value: any number, not finite ones included.
        digits: significant digits.
    """
    value = float(value)
    if not math.isfinite(value):
        return str(value)
    if value == 0:
        return "0"
    if 10**digits <= abs(value) < 1e15 or (value.is_integer() and abs(value) < 1e15):
        return f"{value:,.0f}"
    return _round_number(value, digits, 1.0)


def format_share(share: float) -> str:
    """Return a share as a percentage with three significant digits, more near 0% and 100%.

    Args:
        share: normally 0 to 1.
    """
    if not math.isfinite(share):
        return str(share)
    percentage = float(f"{100 * share:.{_MOST_DIGITS}g}")  # 100 * 0.07 is 7.000000000000001
    if percentage.is_integer() and abs(percentage) < 1e15:
        return f"{percentage:.0f}%"
    return f"{_round_number(percentage, 3, 100.0)}%"


def format_exact(value: float) -> str:
    """Return the shortest text that reads as the same number: of limits, as the recipe has them."""
    number = float(value)
    return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)


def format_beside(value: float, limit: float, digits: int = 6) -> str:
    """Return a value that is compared with a limit, with the digits that tell the two apart.

    Args:
        value, limit: the numbers.
        digits: significant digits at least.
    """
    for count in range(digits, _MOST_DIGITS + 3):
        text = format_number(value, count)
        if value == limit or float(text.replace(",", "")) != float(limit):
            return text
    return repr(float(value))


def _round_number(value: float, digits: int, whole: float) -> str:
    """Round to significant digits, and to more until it is not the whole that it is below."""
    for count in range(digits, _MOST_DIGITS + 3):
        text = f"{value:.{count}g}"
        if not abs(value) < whole or abs(float(text)) < whole:
            break
    mantissa, is_power, exponent = text.partition("e")
    if not is_power:
        return f"{float(text):,.{_MOST_DIGITS}g}"
    if 0 < int(exponent) <= _MOST_DIGITS:
        return f"{float(text):,.0f}"
    return f"{mantissa}e{int(exponent)}"
