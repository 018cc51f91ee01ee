"""What tables and streams will take is said of the newest version, for any number of ranks."""

from pathlib import Path

from headrace.commands.check.predictions import predict_memory
from headrace.commands.check.remark import Kind
from headrace.features.hash import HashFeature
from headrace.lake import publish_build
from headrace.transform.spec import RawColumn, TransformSpec
from tests.lake.building import SCHEMA, make_build
from tests.tiny import tiny_recipe

SPEC = TransformSpec(
    raw=(RawColumn(name="w", kind="string", nullable=True),),
    derived=(),
    features=(HashFeature(name="w", columns=("w",), buckets=2_000_000),),
)


def test_tables_are_predicted_for_ranks_from_a_version_that_is_there(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path, "train.optimizer={kind: adagrad}", "train.ranks=4")
    remark, streams = predict_memory(recipe, remote=False)
    assert "sizes of row groups are not known" in streams.message
    assert (remark.kind, "no version is published yet" in remark.message) == (Kind.UNCHECKED, True)
    root, text = tmp_path / "dataset", SPEC.to_json()
    publish_build(str(root), make_build(root, "b", transform=text), SCHEMA, text)
    remark, streams = predict_memory(recipe, remote=False)
    # 10 rows of one row group, 16 shards of 1 row: blocks and batches of kilobytes
    assert (streams.kind, streams.where) == (Kind.OK, "stream")
    assert streams.message.endswith("at most 0 MiB on 4 ranks together")
    assert remark.kind is Kind.OK
    # 2,000,001 rows x 16 numbers x 4 bytes are 122.1 MiB; a rank has 64 / 4 ids of a batch, each
    # with 4 bytes of its own, and an eighth more: 16 x 68 x 9 / 8 = 1,224 bytes.
    assert "2,000,001 rows of 16, 122.1 MiB and 122.1 MiB of moments" in remark.message
    assert remark.message.endswith("in an update, on 4 ranks")
    alone = tiny_recipe(tmp_path, "train.optimizer={kind: adagrad}", "train.ranks=1")
    remark, _ = predict_memory(alone, remote=False)
    assert "sends" not in remark.message
    assert remark.message.endswith(", on 1 rank")
    warned = tiny_recipe(tmp_path, "train.optimizer={kind: adam}", "train.ranks=2")
    (remark, *_) = predict_memory(warned, remote=False)
    assert remark.kind is Kind.SUSPECTED
    assert "adam moves every row in every step" in remark.message


def test_a_bound_that_is_too_small_is_wrong_in_the_recipe(tmp_path: Path) -> None:
    root, text = tmp_path / "dataset", SPEC.to_json()
    publish_build(str(root), make_build(root, "b", rows=100_000, transform=text), SCHEMA, text)
    recipe = tiny_recipe(tmp_path, "stream.memory=1048576")
    *_, remark = predict_memory(recipe, remote=False)
    assert (remark.kind, remark.where) == (Kind.RECIPE, "stream")
    assert "the longest row group has 100,000 rows" in remark.message
    assert remark.fix.startswith("Set stream.memory to that or more")


def test_a_dataset_in_a_store_is_asked_on_request(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path, "dataset.path=s3://no-bucket/x")
    for remark in predict_memory(recipe, remote=False):
        assert (remark.kind, "--remote" in remark.message) == (Kind.UNCHECKED, True)
