"""Refuse names that are not there, with the nearest one that is."""

import difflib
from collections.abc import Collection

from headrace.errors import OptionError
from headrace.schema import show_names


def suggest_name(name: str, known: Collection[str], what: str) -> str:
    """Return a remark on which known name was probably meant, or which there are."""
    similar = [other for other in known if other.lower() == name.lower()]
    close = similar or difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"the {what}s are: {show_names(known)}"


def check_names(names: Collection[str], known: Collection[str], what: str, where: str) -> None:
    """Check that there are all of these names.

    Args:
        names: to be checked; all wrong ones are named.
        known: those that there are.
        what: one of them, in words: `split`.
        where: what has them, in words.

    Raises:
        OptionError: one is not there.
    """
    wrong = [name for name in dict.fromkeys(names) if name not in known]
    if wrong:
        problems = "; ".join(
            f"there is no {what} {name!r} ({suggest_name(str(name), known, what)})"
            for name in wrong
        )
        raise OptionError(f"{where}: {problems}")
