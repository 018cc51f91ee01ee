"""Mask secrets in all that is shown or kept: output, errors, logs, reports, MLflow, records.

What is a secret is told by its place: the user information of a URL, a value whose key names one
(of a recipe, of a query, of `key=value` and JSON inside a text), and every value that the
environment has under such a name, wherever it appears.
"""

import os
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote, quote_plus, unquote

MASK = "***"
_SECRET_WORDS = re.compile(
    r"secret|passwo?r?d|passphrase|pwd|token|credential"
    r"|(access|account|api|private|encryption|signing|shared|master|sse)[._-]?key|"
    r"x-amz-signature",
    re.IGNORECASE,
)
SPARK_PATTERN = f"(?i){_SECRET_WORDS.pattern}"
"""The same for Spark, which masks settings and URLs in its plans, events and pages by it."""
# Such that are secret as a whole part of a key only: `DB_PASS`, and not `passengers`.
_SECRET_PARTS = frozenset({"pass", "sas", "sig", "signature", "bearer", "authorization"})
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
# Sections of a recipe whose keys and values are columns and expressions.
_COLUMN_SECTIONS = ("source", "clean", "label", "split", "unavailable", "derive", "features")
# Sections of a recipe whose keys are those of Spark and its readers.
_FREE_SECTIONS = ("conf", "options")
_URL = re.compile(r"(?<=://)[^\s'\"<>]+")
# Possessive, and from the begin of a word: linear in the length of any text.
_PAIR = re.compile(
    r"(?<![\w.\-])(?P<key>[\w.\-]++)(?P<is>['\"]?\s*=\s*|%3[Dd])"
    r"(?P<value>\"[^\"]*\"|'[^']*'|[^\s&#;,'\"<>()]+)"
)
_JSON_PAIR = re.compile(r"(?P<key>['\"][\w.\-]++['\"]\s*:\s*)(?P<value>\"[^\"]*\"|'[^']*')")
_HEADER = re.compile(r"(authorization['\"]?\s*[:=]\s*['\"]?(?:basic |bearer )?)[^\s'\",]+", re.I)
# Variables that name a place where a secret is, and not the secret.
_PLACES = ("_FILE", "_PATH", "_DIR", "_SOCK", "_URL", "_URI", "_HOST", "_PORT", "_NAME", "_ID")
# The shell's working directories: not passwords.
_FOLDERS = frozenset({"PWD", "OLDPWD"})
_SHORTEST_VALUE = 6
_ADDRESS = re.compile(r"[\d.]+|localhost")
_DELIMITERS = re.compile(r"[/@?#:&]")
# Secrets of the recipes that this process has read.
_remembered: set[str] = set()


def is_secret_key(key: str) -> bool:
    """Return whether a key names a secret.

    >>> is_secret_key("fs.s3a.secret.key"), is_secret_key("passengers")
    (True, False)
    """
    return bool(_SECRET_WORDS.search(key)) or not _SECRET_PARTS.isdisjoint(
        part.lower() for part in _PART.findall(key)
    )


def redact_text(text: str, environment: Mapping[str, str] = os.environ) -> str:
    """Return a text with all secrets in it masked.

    Args:
        text: for people; SQL in it is kept but for what looks like the value of a secret.
        environment: whose secret values are masked wherever they are.

    >>> redact_text("postgresql://me:pw@db/mlflow?sslpassword=x")
    'postgresql://***@db/mlflow?sslpassword=***'
    """
    return _redact_text(text, _find_known(environment))


def _redact_text(text: str, known: re.Pattern[str] | None) -> str:
    """Mask all secrets in a text; `known` are those that are masked wherever they are."""
    text = _redact_urls(known.sub(MASK, text) if known else text)
    text = _PAIR.sub(_mask_pair, text)
    text = _JSON_PAIR.sub(_mask_pair, text)
    return _HEADER.sub(rf"\1{MASK}", text)


def remember_secrets(resolved: dict[str, Any]) -> None:
    """Remember the secrets of a resolved recipe, to be masked wherever they appear from now on.

    Libraries put parts of an address into their messages, where nothing tells that they are secret.
    """
    _remembered.update(_list_secrets_of_recipe(resolved))


def _list_secrets_of_recipe(
    value: Any, key: str = "", section: str | None = None, is_free: bool = False
) -> Iterator[str]:
    """List secrets: by names of keys only among settings of others, whose keys are not ours.

    In an expression `token = 'approved'` compares a column: in sections of columns only URLs count.
    """
    if isinstance(value, dict):
        for name, inner in value.items():
            free = is_free or name in _FREE_SECTIONS
            yield from _list_secrets_of_recipe(inner, str(name), section or str(name), free)
    elif isinstance(value, list):
        for item in value:
            yield from _list_secrets_of_recipe(item, key, section, is_free)
    elif isinstance(value, str):
        if is_free and is_secret_key(key):
            yield from _split_secret(value)
        elif section in _COLUMN_SECTIONS and not is_free:
            yield from _find_secrets_of_urls(value)
        else:
            yield from _find_secrets(value)


def redact_recipe(resolved: dict[str, Any]) -> dict[str, Any]:
    """Return a resolved recipe with secrets masked, and nothing that rows depend on.

    A column may be called `api_key`: names of columns and expressions are no secrets. Options of
    readers and settings of services are masked by their keys.
    """
    masked: dict[str, Any] = redact_value(resolved)
    return {
        section: _redact_columns(value) if section in _COLUMN_SECTIONS else masked[section]
        for section, value in resolved.items()
    }


def redact_value(value: Any, key: str = "") -> Any:
    """Return `value` (plain YAML types) with secrets masked, by key name, and in texts."""
    # Once, and not for every text of a recipe with thousands: the environment is read for it.
    return _redact_value(value, key, _find_known(os.environ))


def _redact_value(value: Any, key: str, known: re.Pattern[str] | None) -> Any:
    if isinstance(value, dict):
        return {k: _redact_value(v, str(k), known) for k, v in value.items()}
    if isinstance(value, list):
        return [_redact_value(item, key, known) for item in value]
    if value is not None and is_secret_key(key):
        return MASK
    return _redact_text(value, known) if isinstance(value, str) else value


def _redact_columns(value: Any, key: str = "") -> Any:
    if key == "options":
        return redact_value(value)
    if isinstance(value, dict):
        return {k: _redact_columns(v, str(k)) for k, v in value.items()}
    if isinstance(value, list):
        return [_redact_columns(item) for item in value]
    return _redact_urls(value) if isinstance(value, str) else value


def _redact_urls(text: str) -> str:
    """Mask the user information of every URL, and secrets in its query."""
    return _URL.sub(lambda match: _redact_url(match[0]), text)


def _redact_url(rest: str) -> str:
    """Mask secrets in what stands behind the `://` of a URL.

    A password may have `/` and `@` in it, so what is before the last `@` is masked where the
    authority has either a `@` or, before any `/`, a `:` that a password can stand behind.
    """
    _, at, after = rest.rpartition("@")
    authority = rest.partition("/")[0]
    if at and ("@" in authority or ":" in authority):
        rest = f"{MASK}@{after}"
    address, mark, query = rest.partition("?")
    return f"{address}{mark}{_PAIR.sub(_mask_pair, query)}" if mark else rest


def _mask_pair(match: re.Match[str]) -> str:
    key = match["key"]
    if not is_secret_key(key.strip(" :'\"")):
        return match[0]
    quoting = match["value"][0] if match["value"][0] in "'\"" else ""
    between = match.groupdict().get("is") or ""
    return f"{key}{between}{quoting}{MASK}{quoting}"


def _find_known(environment: Mapping[str, str]) -> re.Pattern[str] | None:
    """Return a pattern of the secrets that this process knows by now; None without any."""
    return _build_pattern(tuple(environment.items()), frozenset(_remembered))


@lru_cache(maxsize=4)
def _build_pattern(
    environment: tuple[tuple[str, str], ...], remembered: frozenset[str]
) -> re.Pattern[str] | None:
    """Build a pattern of all secret values, as they are and as a URL has them; None without any."""
    values = {*_list_secret_values(environment), *remembered}
    forms = {form for v in values for form in (v, quote(v), quote(v, safe=""), quote_plus(v))}
    longest_first = sorted(forms, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first))) if forms else None


def _list_secret_values(environment: tuple[tuple[str, str], ...]) -> list[str]:
    """List the values of an environment that are secret: by their names, or within values."""
    found: list[str] = []
    for name, value in environment:
        if name in _FOLDERS:
            continue
        if is_secret_key(name) and not name.upper().endswith(_PLACES):
            found += _split_secret(value)
        else:
            found += _find_secrets(value)
    return found


def _find_secrets(text: str) -> list[str]:
    """Find the values in a text that `redact_text` masks by their place."""
    found = _find_secrets_of_urls(text)
    for pattern in (_PAIR, _JSON_PAIR):
        for match in pattern.finditer(text):
            if is_secret_key(match["key"].strip(" :'\"")):
                found += _split_secret(match["value"].strip("'\""))
    return found


def _find_secrets_of_urls(text: str) -> list[str]:
    """Find passwords and secret values of queries in the URLs of a text."""
    found: list[str] = []
    for url in _URL.findall(text):
        address, _, query = url.partition("?")
        found += _split_secret(address.rpartition("@")[0].partition(":")[2])
        for match in _PAIR.finditer(query):
            if is_secret_key(match["key"]):
                found += _split_secret(match["value"])
    return found


def _split_secret(value: str) -> list[str]:
    """Return a secret and the pieces in which messages of URL parsers have it, but short ones."""
    plain = unquote(value)
    pieces = {value, plain, *_DELIMITERS.split(plain)}
    return [p for p in pieces if len(p) >= _SHORTEST_VALUE and not _ADDRESS.fullmatch(p)]
