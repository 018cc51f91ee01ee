"""Break lines of a result between words where a terminal would break them within one."""

import re

from rich.cells import cell_len

_LABEL = re.compile(r"^ *\S+(?: \S+)*? {2,}")
_MOST_INDENT = 30


def wrap_line(line: str, width: int) -> list[str]:
    """Return a line as lines that fit a terminal; further ones go on below the text of the first.

    The text begins after a label and two spaces (`Dataset  /lake, version 3`), or where the line
    does. A line with a word that fits no line, such as a path, is left to the terminal, so that it
    is copied as one.

    >>> wrap_line("Label  late: binary; two values", 22)
    ['Label  late: binary;', '       two values']
    """
    if cell_len(line) <= width:
        return [line]
    match = _LABEL.match(line)
    start = match[0] if match and cell_len(match[0]) <= _MOST_INDENT else ""
    indent = cell_len(start) or len(line) - len(line.lstrip(" "))
    words = line[len(start) :].split(" ")
    if any(indent + cell_len(word) > width for word in words):
        return [line]
    lines, current = [], start + words[0]
    for word in words[1:]:
        if cell_len(current) + 1 + cell_len(word) > width:
            lines.append(current)
            current = " " * indent + word
        else:
            current += f" {word}"
    return [*lines, current]
