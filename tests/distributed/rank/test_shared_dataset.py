"""A version is read once for all ranks, whatever its record is like."""

from pathlib import Path
from typing import Any

import pytest

from headrace.distributed.rank.collectives import SoloCollectives
from headrace.distributed.rank.peer_loss import PeerLossError
from headrace.distributed.rank.shared_dataset import open_shared_dataset
from headrace.errors import DamagedError, DatasetError
from headrace.lake import DatasetVersion, record_lists
from headrace.lake.storage import open_filesystem
from tests.lake.nights import publish_night
from tests.train.ranks_on_threads import ThreadCollectives, run_on_threads


@pytest.fixture(params=[0, 8192], ids=["manifests", "lists in the record"])
def root(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(record_lists, "INLINE_BYTES", request.param)
    for night in range(3):
        publish_night(tmp_path, night)
    return str(tmp_path)


@pytest.mark.parametrize("version", [1, None])
def test_all_ranks_have_the_version(root: str, version: int | None) -> None:
    def open_version(collectives: ThreadCollectives) -> tuple[Any, ...]:
        dataset = open_shared_dataset(root, version, collectives)
        return dataset.version, dataset.digest, dataset.transform_json, dataset.build

    expected = DatasetVersion.open(root, version)
    for found in run_on_threads(4, open_version):
        assert found == (
            expected.version, expected.digest, expected.transform_json, expected.build,
        )  # fmt: skip


def test_ranks_but_0_open_no_file(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = DatasetVersion.open(root).pack()

    class OtherRank(SoloCollectives):
        rank, size = 1, 2

        def broadcast_object(self, value: Any, root: int = 0) -> Any:
            assert value is None
            return packed

    filesystem = type(open_filesystem(root)[0])

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a file is opened")

    expected = DatasetVersion.open(root).list_files("train")
    for name in ("open", "cat_file", "ls"):
        monkeypatch.setattr(filesystem, name, refuse)
    monkeypatch.setattr(DatasetVersion, "open", refuse)
    dataset = open_shared_dataset(root, None, OtherRank())
    assert dataset.list_files("train") == expected
    assert dataset.build.ledger.read == 15
    assert dataset.count_rows("train") == 15


def test_what_is_wrong_is_said_by_every_rank(tmp_path: Path) -> None:
    def open_version(collectives: ThreadCollectives) -> str:
        with pytest.raises(DatasetError) as caught:
            open_shared_dataset(str(tmp_path), 3, collectives)
        return str(caught.value)

    for message in run_on_threads(2, open_version):
        assert message.startswith("there is no dataset at ")


def test_ranks_of_later_generations_read_for_themselves(root: str) -> None:
    class LateRank(SoloCollectives):
        rank, size, generation = 1, 2, 1

        def broadcast_object(self, value: Any, root: int = 0) -> Any:
            raise AssertionError("the others do not open it again")

    assert open_shared_dataset(root, 1, LateRank()).version == 1


@pytest.mark.parametrize("is_elastic", [True, False])
def test_a_rank_that_lost_the_others_reads_for_itself_where_it_goes_on(
    root: str, is_elastic: bool
) -> None:
    class LonelyRank(SoloCollectives):
        rank, size = 1, 2

        def broadcast_object(self, value: Any, root: int = 0) -> Any:
            raise PeerLossError("rank 1 of 2 lost a peer")

    collectives = LonelyRank()
    collectives.is_elastic = is_elastic
    if is_elastic:
        assert open_shared_dataset(root, 1, collectives).version == 1
    else:
        with pytest.raises(PeerLossError):
            open_shared_dataset(root, 1, collectives)


def test_a_manifest_that_is_damaged_on_the_way_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import zlib

    monkeypatch.setattr(record_lists, "INLINE_BYTES", 0)
    publish_night(tmp_path, 0)
    packed = DatasetVersion.open(str(tmp_path)).pack()
    ((name, content),) = packed["manifests"].items()
    packed["manifests"] = {name: zlib.compress(zlib.decompress(content) + b" ")}
    with pytest.raises(DamagedError, match=r"jsonl is damaged"):
        DatasetVersion.unpack(packed).list_files("train")
