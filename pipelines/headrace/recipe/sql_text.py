"""Write a SQL expression in one way, so that two that differ in layout alone are told to be equal.

Nothing is parsed or evaluated: `a > 15` and `15 < a` stay two expressions.
"""

import re

_TOKEN = re.compile(
    r"--[^\n]*|/\*.*?\*/"  # comments
    r"|[rR]?'(?:[^'\\]|\\.|'')*'|[rR]?\"(?:[^\"\\]|\\.|\"\")*\""  # texts
    r"|`(?:[^`]|``)*`"  # names in quotes
    r"|(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?\w*"  # numbers
    r"|[^\W\d]\w*"  # words
    r"|<=>|<>|!=|==|<=|>=|\|\||->|::|\S",
    re.DOTALL,
)
_COMMENT = re.compile(r"--|/\*")
_QUOTE = re.compile(r"[rR]?['\"]")
_PLAIN_NAME = re.compile(r"[^\W\d]\w*")
_SAME_OPERATORS = {"==": "=", "<>": "!="}


def normalize_sql(text: str, *, case_sensitive: bool = False) -> str:
    """Return an expression with one blank between its parts, and without comments.

    Words are written in lower case, as Spark tells names apart by default; texts stay as they are.
    Parentheses around the whole are left out.

    Args:
        text: Spark SQL.
        case_sensitive: whether names are told apart by their case (`spark.sql.caseSensitive`).

    >>> normalize_sql("( Delay>15  AND `origin` <> 'JFK' )")
    "delay > 15 and origin != 'JFK'"
    """
    tokens = [_normalize_token(token, case_sensitive) for token in _list_tokens(text)]
    while _is_enclosed(tokens):
        tokens = tokens[1:-1]
    return " ".join(tokens)


def list_names(text: str) -> frozenset[str]:
    """Return all words of an expression that may name a column, in lower case."""
    tokens = (token for token in _list_tokens(text) if not _QUOTE.match(token))
    names = (t[1:-1] if t.startswith("`") else t for t in tokens)
    return frozenset(name.lower() for name in names if name[:1].isalpha() or name[:1] == "_")


def _list_tokens(text: str) -> list[str]:
    return [token for token in _TOKEN.findall(text) if not _COMMENT.match(token)]


def _normalize_token(token: str, case_sensitive: bool) -> str:
    if _QUOTE.match(token):
        return token
    token = _unquote_name(token)
    if token.startswith("`"):
        return token
    token = _SAME_OPERATORS.get(token, token)
    return token if case_sensitive else token.lower()


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
