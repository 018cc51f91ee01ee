"""Give all ranks a file that rank 0 has: in place where they see it, otherwise piece by piece."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from headrace.distributed.rank.collectives import Collectives

_PIECE_BYTES = 2**26


@contextmanager
def share_file(file: Path, collectives: Collectives) -> Iterator[Path]:
    """Return the path of a file of rank 0, which all ranks may read in the block.

    Ranks on the machine of rank 0 read the same file, so that it is there once.

    Args:
        file: on rank 0 the file, on others where to write it to if they do not see that one.
        collectives: the ranks, which all enter and leave the block.
    """
    token, marker = secrets.token_hex(16), None
    if collectives.rank == 0 and collectives.size > 1:
        marker = file.with_name(f"{file.name}.{token}")
        marker.touch()
    size = file.stat().st_size if collectives.rank == 0 else 0
    path, token, size = collectives.broadcast_object([str(file.absolute()), token, size])
    there = Path(path)
    is_there = _sees_marker(there, token)
    if not collectives.allgather(np.array([is_there or collectives.size == 1])).all():
        _send_pieces(file, size, collectives, writes=not is_there)
    try:
        yield there if is_there else file
    finally:
        collectives.allgather(np.zeros(1, np.int64))  # nobody removes it while others load it
        if marker:
            marker.unlink(missing_ok=True)


def _sees_marker(file: Path, token: str) -> bool:
    """Return whether this rank sees the folder of rank 0, and none of its own of the same name."""
    return file.with_name(f"{file.name}.{token}").exists()


def _send_pieces(file: Path, size: int, collectives: Collectives, *, writes: bool) -> None:
    source = file.open("rb") if collectives.rank == 0 else None
    target = file.open("wb") if writes and source is None else None
    try:
        for _ in range(0, size, _PIECE_BYTES):
            piece = collectives.broadcast_object(source.read(_PIECE_BYTES) if source else None)
            if target:
                target.write(piece)
    finally:
        for stream in (source, target):
            if stream:
                stream.close()
