"""Translate patterns of Java, as Spark has them, to RE2, which Arrow and TensorFlow have.

Only what both engines find in the same texts is translated; of everything else it is said that it
has no translation: look-around, back-references, possessive repeats, `\\b` (whose meaning depends
on Java's version), classes of Unicode, flags but a leading `(?i)` and `(?s)`.
"""

from dataclasses import dataclass

from headrace.transform.condition import Condition, make_condition, negate_condition

_NO_LINE_END = r"[^\n\r\x{85}\x{2028}\x{2029}]"
# Stands for $, which is at the end or before the last line's end; see `make_match`.
_LAST_LINE_END = "\x00"
_CLASSES = {
    "d": "0-9", "w": "0-9A-Za-z_", "s": r"\t-\r ", "h": None, "v": None,
}  # fmt: skip
_POSIX = {
    "Lower": "a-z", "Upper": "A-Z", "Alpha": "A-Za-z", "Digit": "0-9", "Alnum": "0-9A-Za-z",
    "XDigit": "0-9A-Fa-f", "ASCII": r"\x{0}-\x{7F}", "Space": r"\t-\r ",
}  # fmt: skip
_CONTROLS = {"t": 9, "n": 10, "r": 13, "f": 12, "a": 7, "e": 27}
_MAX_REPEATS = 1000  # of RE2
_SPECIAL = set("\\^$.|?*+()[]{}")


class NoTranslationError(ValueError):
    """A pattern, or a piece of SQL, that only Spark can compute; the message says which part."""


def make_match(texts: Condition, pattern: str) -> Condition:
    """Make the condition that a pattern of `java.util.regex` is found in texts.

    Args:
        texts: a column.
        pattern: of Java.

    Raises:
        NoTranslationError: a part of it has no counterpart.
    """
    translated = _Translator(pattern).translate()
    if _LAST_LINE_END not in translated:
        return _make_node(texts, translated)
    # The end of a line may be two characters, and $ is never between them.
    at_end = _make_node(texts, translated.replace(_LAST_LINE_END, r"(?:(?:\r\n)?\z)"))
    line_end = r"(?:[\n\r\x{85}\x{2028}\x{2029}]\z)"
    before_end = _make_node(texts, translated.replace(_LAST_LINE_END, line_end))
    is_single = negate_condition(_make_node(texts, r"\r\n\z"))
    return make_condition("or", at_end, make_condition("and", is_single, before_end))


def make_like(texts: Condition, pattern: str) -> Condition:
    """Make the condition that texts, a column, are LIKE a pattern of SQL; see `make_match`."""
    return _make_node(texts, translate_like(pattern))


def _make_node(texts: Condition, pattern: str) -> Condition:
    return Condition(op="matches", type="boolean", args=(texts,), value=pattern)


def translate_like(pattern: str, escape: str = "\\") -> str:
    """Translate a pattern of SQL's LIKE, which the whole text has to match, to one of RE2.

    Raises:
        NoTranslationError: the escape character is at the end, or before another one.
    """
    parts, position = [], 0
    while position < len(pattern):
        char = pattern[position]
        position += 1
        if char == escape:
            if pattern[position : position + 1] not in ("%", "_", escape):
                raise NoTranslationError(f"LIKE pattern {pattern!r}")
            parts.append(_quote(pattern[position]))
            position += 1
        elif char in "%_":
            parts.append("(?s:.*)" if char == "%" else "(?s:.)")
        else:
            parts.append(_quote(char))
    return rf"\A(?:{''.join(parts)})\z"


def _quote(char: str) -> str:
    return char if char.isascii() and char.isalnum() else f"\\x{{{ord(char):X}}}"


@dataclass
class _Translator:
    """A recursive descent over one pattern."""

    pattern: str
    position: int = 0
    ignores_case: bool = False
    dot_is_all: bool = False

    def translate(self) -> str:
        while self.pattern.startswith(("(?i)", "(?s)"), self.position):
            if self.pattern[self.position + 2] == "i":
                self.ignores_case = True
            else:
                self.dot_is_all = True
            self.position += 4
        text = self._read_alternatives(at_end=True)
        if self.position < len(self.pattern):
            raise self._refuse("an unbalanced parenthesis")
        return text

    def _refuse(self, what: str) -> NoTranslationError:
        return NoTranslationError(f"pattern {self.pattern!r}: {what}")

    def _peek(self) -> str:
        return self.pattern[self.position : self.position + 1]

    def _take(self) -> str:
        char = self._peek()
        if not char:
            raise self._refuse("it ends too early")
        self.position += 1
        return char

    def _read_alternatives(self, *, at_end: bool) -> str:
        branches = [self._read_branch(at_end=at_end)]
        while self._peek() == "|":
            self.position += 1
            branches.append(self._read_branch(at_end=at_end))
        return "|".join(branches)

    def _read_branch(self, *, at_end: bool) -> str:
        parts: list[str] = []
        while self._peek() and self._peek() not in "|)":
            parts.append(self._read_item(at_end=at_end))
        return "".join(parts)

    def _ends_here(self) -> bool:
        """Return whether nothing follows in this branch."""
        return not self._peek() or self._peek() in "|)"

    def _read_item(self, *, at_end: bool) -> str:
        char = self._take()
        if char == "(":
            return self._read_group(at_end=at_end)
        if char == "[":
            return self._read_repeats(self._read_class())
        if char == ".":
            return self._read_repeats("(?s:.)" if self.dot_is_all else _NO_LINE_END)
        if char == "^":
            return self._refuse_repeats(r"\A")
        if char == "$":
            return self._read_last_line_end(at_end=at_end)
        if char == "\\":
            return self._read_escape(at_end=at_end)
        if char in "*+?{":
            raise self._refuse(f"{char!r} repeats nothing")
        return self._read_repeats(self._write_literal(char))

    def _read_last_line_end(self, *, at_end: bool) -> str:
        if not at_end or not self._ends_here():
            raise self._refuse("$ before its end")
        return _LAST_LINE_END

    def _refuse_repeats(self, text: str) -> str:
        if self._peek() and self._peek() in "*+?{":
            raise self._refuse("a repeated anchor")
        return text

    def _read_group(self, *, at_end: bool) -> str:
        if self._peek() == "?":
            self.position += 1
            char = self._take()
            if char == "<" and self._peek() not in ("=", "!"):
                while self._take() != ">":
                    pass
            elif char != ":":
                raise self._refuse(f"(?{char}")
        begin = self.position
        # Whether the group is the last thing of the pattern is known when it is read.
        text = self._read_alternatives(at_end=at_end)
        if self._take() != ")":
            raise self._refuse("an unbalanced parenthesis")
        is_last = self._ends_here()
        if not is_last and _LAST_LINE_END in text:
            raise self._refuse(f"$ before its end, at {begin}")
        return self._read_repeats(f"(?:{text})")

    def _read_repeats(self, text: str) -> str:
        char = self._peek()
        if not char or char not in "*+?{":
            return text
        self.position += 1
        repeats = char
        if char == "{":
            end = self.pattern.find("}", self.position)
            counts = self.pattern[self.position : end].split(",")
            numbers = [c for c in counts if c]
            if end < 0 or len(counts) > 2 or not counts[0] or not all(map(str.isdecimal, numbers)):
                raise self._refuse("a repeat that is none")
            if any(int(number) > _MAX_REPEATS for number in numbers):
                raise self._refuse(f"more than {_MAX_REPEATS} repeats")
            repeats = f"{{{','.join(counts)}}}"
            self.position = end + 1
        if self._peek() == "+":
            raise self._refuse("a possessive repeat")
        if self._peek() == "?":  # lazy: it decides what is found, not whether
            self.position += 1
        if self._peek() and self._peek() in "*+?{":
            raise self._refuse("a repeat of a repeat")
        return f"(?:{text}){repeats}"

    def _read_escape(self, *, at_end: bool) -> str:
        char = self._take()
        if char == "A":
            return self._refuse_repeats(r"\A")
        if char == "z":
            return self._refuse_repeats(r"\z")
        if char == "Z":
            return self._read_last_line_end(at_end=at_end)
        if char == "Q":
            end = self.pattern.find("\\E", self.position)
            quoted = self.pattern[self.position : end if end >= 0 else None]
            self.position = len(self.pattern) if end < 0 else end + 2
            text = "".join(map(self._write_literal, quoted))
            if self._peek() and self._peek() in "*+?{":
                raise self._refuse("a repeat after \\E")
            return text
        if (members := self._read_class_escape(char)) is not None:
            negated, inner = members
            return self._read_repeats(f"[{'^' if negated else ''}{inner}]")
        return self._read_repeats(self._write_literal(self._read_character(char)))

    def _read_class_escape(self, char: str) -> tuple[bool, str] | None:
        """Return whether an escape is a negated class, and its members; None where it is none."""
        if char in "pP":
            name = self._take()
            if name == "{":
                end = self.pattern.find("}", self.position)
                name, self.position = self.pattern[self.position : end], end + 1
            if name not in _POSIX or (self.ignores_case and name in ("Lower", "Upper")):
                raise self._refuse(f"\\{char}{{{name}}}")
            return char == "P", _POSIX[name]
        if char.lower() not in _CLASSES:
            return None
        members = _CLASSES[char.lower()]
        if members is None:
            raise self._refuse(f"\\{char}")
        return char.isupper(), members

    def _read_character(self, char: str) -> str:
        """Return the character that an escape stands for, whose first letter was read."""
        if char in _CONTROLS:
            return chr(_CONTROLS[char])
        if char in "xu":
            if char == "x" and self._peek() == "{":
                end = self.pattern.find("}", self.position)
                digits, self.position = self.pattern[self.position + 1 : end], end + 1
            else:
                count = 2 if char == "x" else 4
                digits = self.pattern[self.position : self.position + count]
                self.position += count
                if len(digits) < count:
                    raise self._refuse(f"\\{char}{digits}")
            try:
                number = int(digits, 16)
            except ValueError:
                raise self._refuse(f"\\{char}{digits}") from None
            if 0xD800 <= number < 0xE000 or number > 0x10FFFF:
                raise self._refuse(f"\\{char}{digits}")
            return chr(number)
        if char.isalnum():
            raise self._refuse(f"\\{char}")
        return char

    def _write_literal(self, char: str) -> str:
        if self.ignores_case and char.isascii() and char.isalpha():
            return f"[{char.lower()}{char.upper()}]"
        return _quote(char)

    def _read_class(self) -> str:
        negated = self._peek() == "^"
        if negated:
            self.position += 1
        members: list[str] = []
        if self._peek() == "]":
            raise self._refuse("an empty class")
        while (char := self._take()) != "]":
            if char == "[" or (char == "&" and self._peek() == "&"):
                raise self._refuse("a class within a class")
            if char == "\\":
                escape = self._take()
                inner = self._read_class_escape(escape)
                if inner is not None:
                    if inner[0]:
                        raise self._refuse("a negated class within a class")
                    members.append(inner[1])
                    continue
                char = self._read_character(escape)
            last = self._read_range_end()
            members.append(self._write_range(char, last if last is not None else char))
        return f"[{'^' if negated else ''}{''.join(members)}]"

    def _read_range_end(self) -> str | None:
        """Return the last character of a range whose first one was read; None where it is none."""
        following = self.pattern[self.position : self.position + 2]
        if following[:1] != "-" or following[1:] in ("]", ""):
            return None
        self.position += 1
        char = self._take()
        if char == "\\":
            escape = self._take()
            if escape in "pP" or escape.lower() in _CLASSES:
                raise self._refuse("a range to a class")
            return self._read_character(escape)
        if char == "[":
            raise self._refuse("a class within a class")
        return char

    def _write_range(self, first: str, last: str) -> str:
        if first > last:
            raise self._refuse(f"the range {first}-{last}")
        text = f"\\x{{{ord(first):X}}}-\\x{{{ord(last):X}}}"
        if self.ignores_case:
            for low, high, shift in (("A", "Z", 32), ("a", "z", -32)):
                begin, end = max(first, low), min(last, high)
                if begin <= end:
                    text += f"\\x{{{ord(begin) + shift:X}}}-\\x{{{ord(end) + shift:X}}}"
        return text
