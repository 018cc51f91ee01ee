"""Which files hold the rows of earlier ones: by the commits between two snapshots."""

import random

import pytest

from headrace.lake.snapshot import FileGroup, Rewrite, TableCommit, trace_files


def commit(added: str = "", removed: str = "", *rewrites: tuple[str, str]) -> TableCommit:
    """Make a commit; every letter is a file."""
    moved = tuple(Rewrite(frozenset(r), frozenset(a)) for r, a in rewrites)
    return TableCommit(frozenset(added), frozenset(removed), moved)


def trace(before: str, now: str, *commits: TableCommit) -> dict[str, str]:
    """Trace files: those before and now of every group -> whether its rows changed."""
    found = {}
    for group in trace_files(before, now, commits):
        state = "changed" if group.is_changed else "moved" if group.is_rewritten else "same"
        found["".join(sorted(group.before)) + ">" + "".join(sorted(group.now))] = state
    return found


@pytest.mark.parametrize(
    ("before", "now", "commits", "expected"),
    [
        ("ab", "ab", [], {"a>a": "same", "b>b": "same"}),
        ("ab", "bc", [], {"a>": "changed", "b>b": "same", ">c": "changed"}),
        ("ab", "bc", [commit("c", "a")], {"a>": "changed", "b>b": "same", ">c": "changed"}),
        ("ab", "c", [commit("", "", ("ab", "c"))], {"ab>c": "moved"}),
        ("abx", "dx", [commit("", "", ("ab", "c")), commit("", "", ("c", "d"))],
         {"ab>d": "moved", "x>x": "same"}),
        # A file that was rewritten together with rows that nobody read.
        ("a", "c", [commit("b"), commit("", "", ("ab", "c"))], {"a>c": "changed"}),
        ("a", "ac", [commit("b"), commit("", "", ("b", "c"))], {"a>a": "same", ">c": "changed"}),
        # Of the files that a rewrite made, one is gone.
        ("ab", "d", [commit("", "", ("ab", "cd")), commit("", "c")], {"ab>d": "changed"}),
        ("a", "a", [commit("", "", ("a", "a"))], {"a>a": "moved"}),  # written down once more
        ("a", "a", [commit("", "", ("a", "b")), commit("a", "b")], {"a>": "changed", ">a":
         "changed"}),  # restored
        ("a", "", [], {"a>": "changed"}),
        # Not all of the files now were listed, as where a condition leaves out folders.
        ("a", "a", [commit("b"), commit("", "", ("b", "c"))], {"a>a": "same"}),
    ],
)  # fmt: skip
def test_files_that_hold_the_rows_of_others(
    before: str, now: str, commits: list[TableCommit], expected: dict[str, str]
) -> None:
    assert trace(before, now, *commits) == expected


@pytest.mark.parametrize("seed", range(200))
def test_a_group_is_unchanged_where_its_rows_are(seed: int) -> None:
    """Files that are sets of rows: what is said of their names is true of their rows."""
    rng, counter = random.Random(seed), iter(range(10_000))

    def write(count: int) -> frozenset[int]:
        return frozenset(next(counter) for _ in range(count))

    files = {f"f{i}": write(rng.randrange(1, 9)) for i in range(rng.randrange(1, 7))}
    before, commits = dict(files), []
    for number in range(rng.randrange(6)):
        removed, added, rewrites = set(), {}, []
        for name in [*files]:
            if rng.random() < 0.15:
                removed.add(name)
        moved = [name for name in files if name not in removed and rng.random() < 0.4]
        if moved:
            rows = [row for name in moved for row in files.pop(name)]
            rng.shuffle(rows)
            cut = rng.randrange(len(rows) + 1)
            parts = {f"m{number}": rows[:cut], f"n{number}": rows[cut:]}
            files |= {name: frozenset(part) for name, part in parts.items() if part}
            rewrites.append(Rewrite(frozenset(moved), frozenset(n for n, p in parts.items() if p)))
        for name in removed:
            files.pop(name)
        if rng.random() < 0.5:
            added[f"a{number}"] = write(rng.randrange(1, 5))
            files |= added
        commits.append(TableCommit(frozenset(added), frozenset(removed), tuple(rewrites)))
    groups = trace_files(before, files, commits)
    assert sorted(name for group in groups for name in group.before) == sorted(before)
    assert sorted(name for group in groups for name in group.now) == sorted(files)
    for group in groups:
        then = {row for name in group.before for row in before[name]}
        now = {row for name in group.now for row in files[name]}
        if not group.is_changed:
            assert then == now
        elif not group.is_rewritten:
            assert then != now


def test_a_group_says_what_it_is() -> None:
    (group,) = trace_files(["a"], ["a"], [])
    assert group == FileGroup(frozenset("a"), frozenset("a"), is_changed=False)
