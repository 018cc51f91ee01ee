"""A file of rank 0 on all ranks, in place or sent piece by piece."""

import threading
from pathlib import Path

import pytest

from headrace.distributed.rank import shared_file
from headrace.distributed.rank.collectives import SoloCollectives
from headrace.distributed.rank.shared_file import share_file
from tests.train.ranks_on_threads import ThreadCollectives, run_on_threads

CONTENT = bytes(range(256)) * 5


def share(folder: Path, ranks: ThreadCollectives) -> tuple[str, bytes]:
    own = folder / f"rank {ranks.rank}"
    own.mkdir()
    file = own / "received"
    if ranks.rank == 0:
        file = own / "model"
        file.write_bytes(CONTENT)
    with share_file(file, ranks) as shared:
        result = shared.parent.name, shared.read_bytes()
    if ranks.rank == 0:
        assert [path.name for path in own.iterdir()] == ["model"]  # no marker is left
    return result


def test_ranks_that_see_it_read_the_same_file(tmp_path: Path) -> None:
    results = run_on_threads(3, lambda ranks: share(tmp_path, ranks))
    assert results == [("rank 0", CONTENT)] * 3
    assert list((tmp_path / "rank 2").iterdir()) == []


@pytest.mark.parametrize("piece", [1, 100, 1280, 5000])
def test_a_rank_that_does_not_see_it_gets_its_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: int
) -> None:
    """A rank elsewhere writes it, one beside rank 0 reads the file that is there."""
    monkeypatch.setattr(shared_file, "_PIECE_BYTES", piece)
    elsewhere = threading.local()
    sees_marker = shared_file._sees_marker
    monkeypatch.setattr(
        shared_file,
        "_sees_marker",
        lambda *a: sees_marker(*a) and not getattr(elsewhere, "is_here", False),
    )

    def share_elsewhere(ranks: ThreadCollectives) -> tuple[str, bytes]:
        elsewhere.is_here = ranks.rank == 2
        return share(tmp_path, ranks)

    results = run_on_threads(3, share_elsewhere)
    assert results == [("rank 0", CONTENT), ("rank 0", CONTENT), ("rank 2", CONTENT)]


def test_a_rank_that_is_alone_reads_its_file(tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(CONTENT)
    with share_file(tmp_path / "model", SoloCollectives()) as shared:
        assert shared == tmp_path / "model"
