"""Walking a folder on any store: everything is found once, or it is an error."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import fsspec
import pytest
from fsspec.implementations.local import LocalFileSystem
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import LakeError
from headrace.lake.walk import (
    expand_pattern,
    find_files,
    find_info,
    is_hidden_name,
    walk_folder,
)

LOCAL = LocalFileSystem()


@contextmanager
def without_privileges() -> Iterator[None]:
    """Be a user to whom the modes of files apply."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


def make_tree(folder: Path, *names: str) -> str:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return str(folder)


def walk_names(folder: str) -> list[str]:
    return sorted(file.path.removeprefix(f"{folder}/") for file in walk_folder(LOCAL, folder).files)


@pytest.mark.parametrize(
    ("name", "hidden"),
    [
        ("a.parquet", False), ("_x=1", False), ("day=1", False), ("_SUCCESS", True),
        ("_metadata", True), ("_common_metadata", True), (".crc", True), (".x=1", True),
        ("_delta_log", True), ("lost+found", True),
    ],
)  # fmt: skip
def test_names_that_are_no_data(name: str, hidden: bool) -> None:
    assert is_hidden_name(name) is hidden


@given(
    st.lists(
        st.lists(st.sampled_from(["a", "b=1", "_c", ".d", "_e=2", "f g", "h%20", "[1]", "{2}"]),
                 min_size=1, max_size=4),
        max_size=12,
    )
)  # fmt: skip
def test_all_files_but_those_below_hidden_names(
    tmp_path_factory: pytest.TempPathFactory, paths: list[list[str]]
) -> None:
    names = {"/".join([*parts[:-1], f"{parts[-1]}.x"]) for parts in paths}
    folder = make_tree(tmp_path_factory.mktemp("walk"), *names)
    visible = [n for n in names if not any(is_hidden_name(part) for part in n.split("/"))]
    assert walk_names(folder) == sorted(visible)
    walk = walk_folder(LOCAL, folder)
    below = [n for n in names if any(f"{folder}/{n}/".startswith(f"{s}/") for s in walk.skipped)]
    assert sorted(below) == sorted(names - set(visible))  # each is accounted for


def test_a_file_is_known_by_its_size_and_time(tmp_path: Path) -> None:
    folder = make_tree(tmp_path, "a")
    os.utime(tmp_path / "a", ns=(5, 7))
    (file,) = walk_folder(LOCAL, folder).files
    assert (file.path, file.bytes, file.changed) == (f"{folder}/a", 1, "7")


@pytest.mark.parametrize("closed", ["t/day=1", "t/day=2/x", "t"])
def test_a_folder_that_cannot_be_listed_is_an_error(closed: str) -> None:
    with TemporaryDirectory() as temporary:  # pytest's own are closed to other users
        base = Path(temporary)
        base.chmod(0o755)
        folder = make_tree(base / "t", "day=1/a", "day=2/x/b")
        (base / closed).chmod(0)
        with without_privileges(), pytest.raises(PermissionError, match=f"{temporary}/{closed}"):
            walk_folder(LOCAL, folder)
        (base / closed).chmod(0o755)
        assert walk_names(folder) == ["day=1/a", "day=2/x/b"]


def test_a_store_that_cannot_list_a_folder_is_an_error() -> None:
    """fsspec's own walk leaves such folders out."""
    filesystem = fsspec.filesystem("memory")
    filesystem.pipe({"/walked/a": b"1", "/walked/day=1/b": b"2", "/walked/_c/d": b"3"})
    names = sorted(file.path for file in walk_folder(filesystem, "/walked").files)
    assert names == ["/walked/a", "/walked/day=1/b"]

    class Refusing:
        protocol = "memory"

        def ls(self, path: str, *, detail: bool) -> Any:
            if path.endswith("day=1"):
                raise PermissionError(path)
            return filesystem.ls(path, detail=detail)

    with pytest.raises(PermissionError, match="day=1"):
        walk_folder(Refusing(), "/walked")
    filesystem.rm("/walked", recursive=True)


def test_links_are_followed_and_never_in_a_circle(tmp_path: Path) -> None:
    make_tree(tmp_path / "elsewhere", "a")
    folder = make_tree(tmp_path / "t", "b")
    (tmp_path / "t" / "link").symlink_to(tmp_path / "elsewhere")
    assert walk_names(folder) == ["b", "link/a"]
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "t")
    with pytest.raises(LakeError, match=r"back is a link to a folder that it is in"):
        walk_folder(LOCAL, folder)


@pytest.mark.parametrize("kind", ["link to a folder", "link to a file", "hard link"])
def test_one_file_under_two_names_is_refused(tmp_path: Path, kind: str) -> None:
    folder = make_tree(tmp_path / "t", "day=2/a")
    if kind == "link to a folder":
        (tmp_path / "t" / "day=latest").symlink_to("day=2")
    elif kind == "link to a file":
        (tmp_path / "t" / "b").symlink_to("day=2/a")
    else:
        (tmp_path / "t" / "b").hardlink_to(tmp_path / "t" / "day=2" / "a")
    with pytest.raises(LakeError, match="are the same file, so its rows would be read twice"):
        walk_folder(LOCAL, folder)


def test_a_link_to_nothing_is_an_error(tmp_path: Path) -> None:
    folder = make_tree(tmp_path / "t", "a")
    (tmp_path / "t" / "b").symlink_to("gone")
    with pytest.raises(FileNotFoundError, match="b"):
        walk_folder(LOCAL, folder)


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("t/*.csv", ["t/a.csv", "t/b.csv"]),
        ("t/?.csv", ["t/a.csv", "t/b.csv"]),
        ("t/[a].csv", ["t/a.csv"]),
        ("t/[^a].csv", ["t/b.csv"]),
        ("t/[!a].csv", ["t/b.csv"]),
        ("t/{a,b}.csv", ["t/a.csv", "t/b.csv"]),
        ("t/{a.csv,x/c.csv}", ["t/a.csv", "t/x/c.csv"]),
        ("t/{a,{b,x/c}}.csv", ["t/a.csv", "t/b.csv", "t/x/c.csv"]),
        ("t/*/c.csv", ["t/x/c.csv"]),
        ("t/x*", ["t/x"]),
        ("*/a.csv", ["t/a.csv"]),
        ("t/_*", []),
        ("t/_hidden", []),
        ("t/_SUCCES[S]", []),
        ("t/\\[1\\].csv", ["t/[1].csv"]),
        ("t/[[]1].csv", ["t/[1].csv"]),
        ("t/{2.csv", ["t/{2.csv"]),
        ("t/nothing*", []),
        ("t/a.csv/*", []),
    ],
)
def test_patterns_of_hadoop(tmp_path: Path, pattern: str, names: list[str]) -> None:
    base = make_tree(
        tmp_path, "t/a.csv", "t/b.csv", "t/x/c.csv", "t/_SUCCESS", "t/[1].csv", "t/{2.csv"
    )
    found = [path.removeprefix(f"{base}/") for path in expand_pattern(LOCAL, f"{base}/{pattern}")]
    if pattern == "t/*.csv":
        found = [name for name in found if name[2:] in ("a.csv", "b.csv")]
    assert found == names


def test_a_path_that_cannot_be_looked_at_is_no_path_that_is_not_there(tmp_path: Path) -> None:
    assert find_info(LOCAL, str(tmp_path / "nothing")) is None
    make_tree(tmp_path, "a")
    assert find_info(LOCAL, str(tmp_path / "a" / "b")) is None
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="loop"):
        find_info(LOCAL, str(tmp_path / "loop"))


def test_files_that_are_found_whatever_their_names(tmp_path: Path) -> None:
    for name in ("a", ".b/c", "_d/e/f", "g/h"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    found = find_files(LOCAL, str(tmp_path))
    assert [path.removeprefix(f"{tmp_path}/") for path in found] == [".b/c", "_d/e/f", "a", "g/h"]
    assert {info["size"] for info in found.values()} == {1}
    assert find_files(LOCAL, f"{tmp_path}/nothing") == {}


def test_a_folder_that_cannot_be_listed_is_not_empty() -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "closed").mkdir(mode=0)
        with without_privileges(), pytest.raises(PermissionError):
            find_files(LOCAL, name)
