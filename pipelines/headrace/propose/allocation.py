"""Choose evenly which of many files or rows are read, and how many rows of each file."""


def spread_positions(count: int, limit: int) -> list[int]:
    """Return at most `limit` of the positions 0 to `count` - 1, rising, with the first and last.

    >>> spread_positions(10, 4)
    [0, 3, 6, 9]
    """
    if count <= limit:
        return list(range(count))
    if limit == 1:
        return [0]
    return [i * (count - 1) // (limit - 1) for i in range(limit)]


def allocate_rows(rows: list[int], limit: int) -> list[int]:
    """Return how many rows to read of each file, `limit` in all, or all rows where there are fewer.

    In proportion to the files' rows; what rounding leaves over goes to the first files.

    Args:
        rows: the number of rows of each file.
        limit: the number of rows to read.
    """
    total = sum(rows)
    if total <= limit:
        return list(rows)
    allocation = [n * limit // total for n in rows]
    for position in range(len(rows)):
        if sum(allocation) == limit:
            break
        allocation[position] += allocation[position] < rows[position]
    return allocation
