"""Which of many files, or rows, are looked at: some, evenly, from the first to the last."""


def spread(count: int, wanted: int) -> list[int]:
    """At most `wanted` of the positions 0 to `count` - 1, rising; the first and last among them.

    >>> spread(10, 4)
    [0, 3, 6, 9]
    """
    if count <= wanted:
        return list(range(count))
    if wanted == 1:
        return [0]
    return [i * (count - 1) // (wanted - 1) for i in range(wanted)]


def shares(rows: list[int], wanted: int) -> list[int]:
    """How many of each file's rows are taken, so that they are `wanted` in all, or all there are.

    In proportion to the files' rows; what rounding leaves over goes to the first files.
    """
    total = sum(rows)
    if total <= wanted:
        return list(rows)
    taken = [n * wanted // total for n in rows]
    for position in range(len(rows)):
        if sum(taken) == wanted:
            break
        taken[position] += taken[position] < rows[position]
    return taken
