"""Write a SQL expression in one way, so that two that differ in layout alone are told to be equal.

Nothing is parsed or evaluated: `a > 15` and `15 < a` stay two expressions.
"""

import re
from itertools import pairwise

_TOKEN = re.compile(
    r"--[^\n]*|/\*.*?\*/"  # comments
    r"|[rR]'[^']*'|[rR]\"[^\"]*\""  # texts as they are written
    r"|'(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.|\"\")*\""  # texts
    r"|`(?:[^`]|``)*`"  # names in quotes
    r"|(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?\w*"  # numbers
    r"|[^\W\d]\w*"  # words
    r"|<=>|<>|!=|==|<=|>=|\|\||->|::|\S",
    re.DOTALL,
)
_COMMENT = re.compile(r"--|/\*")
_QUOTE = re.compile(r"[rR]?['\"]")
_PLAIN_NAME = re.compile(r"[^\W\d]\w*")
_WORD = re.compile(r"\w+")  # `1st_delay` is a name too
_NUMBER = re.compile(r"\d+(?:[eE]\d+)?(?:[lLsSyYdDfF]|[bB][dD])?")
_SAME_OPERATORS = {"==": "=", "<>": "!="}
# Words that are no names, whose case never counts; nor does that of a function or of a type.
_SYNTAX = frozenset({
    "and", "as", "between", "case", "cast", "distinct", "div", "else", "end", "escape", "false",
    "ilike", "in", "interval", "is", "like", "not", "null", "or", "regexp", "rlike", "then", "true",
    "when",
})  # fmt: skip


def normalize_sql(text: str, *, case_sensitive: bool = False) -> str:
    """Return an expression with one blank between its parts, and without comments.

    Words are written in lower case, names only where Spark does not tell them apart by it; texts
    stay as they are.
    Parentheses around the whole are left out.

    Args:
        text: Spark SQL.
        case_sensitive: whether names are told apart by their case (`spark.sql.caseSensitive`).

    >>> normalize_sql("( Delay>15  AND `origin` <> 'JFK' )")
    "delay > 15 and origin != 'JFK'"
    """
    tokens = _list_tokens(text)
    tokens = [
        _normalize_token(token, before, after, case_sensitive)
        for before, token, after in zip(["", *tokens], tokens, [*tokens[1:], ""], strict=False)
    ]
    while _is_enclosed(tokens):
        tokens = tokens[1:-1]
    return " ".join(tokens)


def find_column_names(text: str) -> list[str]:
    """Return words of an expression that may name a column: none in texts or comments, no function.

    >>> find_column_names("IF(`a ``b` > 1, Late, 'x') -- of it")
    ['a `b', 'Late']
    """
    tokens = _list_tokens(text)
    names = []
    for token, after in zip(tokens, [*tokens[1:], ""], strict=True):
        if token.startswith("`"):
            names.append(token[1:-1].replace("``", "`"))
        elif _WORD.fullmatch(token) and not _NUMBER.fullmatch(token) and after != "(":
            names.append(token)
    return names


def list_names(text: str) -> frozenset[str]:
    """Return all words of an expression that may name a column, in lower case."""
    return frozenset(name.lower() for name in find_column_names(text))


def list_calls(text: str) -> frozenset[str]:
    """Return the functions that an expression calls, in lower case."""
    tokens = _list_tokens(text)
    return frozenset(
        token.strip("`").lower()
        for token, after in pairwise(tokens)
        if after == "(" and (token.startswith("`") or _PLAIN_NAME.fullmatch(token))
    )


def has_window(text: str) -> bool:
    """Return whether an expression has a window function: `… OVER (…)`, or `… OVER w`."""
    tokens = [token.lower() for token in _list_tokens(text)]
    return any(
        word == "over" and before == ")" and (after == "(" or _PLAIN_NAME.fullmatch(after))
        for before, word, after in zip(tokens, tokens[1:], tokens[2:], strict=False)
    )


def has_star(text: str) -> bool:
    """Return whether an expression reads all columns: `hash(*)`, `struct(a.*, b)`."""
    tokens = _list_tokens(text)
    return any(
        sign == "*" and before in ("(", ",", ".") and after in (")", ",")
        for before, sign, after in zip(tokens, tokens[1:], tokens[2:], strict=False)
    )


def _list_tokens(text: str) -> list[str]:
    return [token for token in _TOKEN.findall(text) if not _COMMENT.match(token)]


def _normalize_token(token: str, before: str, after: str, case_sensitive: bool) -> str:
    """Return a token as it is compared, by those before and after it."""
    if _QUOTE.match(token):
        return token
    token = _unquote_name(token)
    if token.startswith("`"):
        return token
    token = _SAME_OPERATORS.get(token, token)
    low = token.lower()
    is_name = low not in _SYNTAX and before.lower() != "as" and after != "("
    if case_sensitive and is_name and _PLAIN_NAME.fullmatch(token) and not _QUOTE.match(after):
        return token
    return low


def _unquote_name(token: str) -> str:
    """Return a name without the quotes that it does not need."""
    inner = token[1:-1] if token.startswith("`") else token
    return inner if _PLAIN_NAME.fullmatch(inner) else token


def _is_enclosed(tokens: list[str]) -> bool:
    """Return whether the first parenthesis is closed by the last token."""
    if len(tokens) < 3 or (tokens[0], tokens[-1]) != ("(", ")"):
        return False
    depth = 0
    for token in tokens[:-1]:
        depth += {"(": 1, ")": -1}.get(token, 0)
        if depth == 0:
            return False
    return True
