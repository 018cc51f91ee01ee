"""What tables will take is said of the newest version, for any number of ranks."""

from pathlib import Path

from headrace.commands.check.embeddings import predict_embeddings
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
    (remark,) = predict_embeddings(recipe, remote=False)
    assert (remark.kind, "no version is published yet" in remark.message) == (Kind.UNCHECKED, True)
    root, text = tmp_path / "dataset", SPEC.to_json()
    publish_build(str(root), make_build(root, "b", transform=text), SCHEMA, text)
    (remark,) = predict_embeddings(recipe, remote=False)
    assert remark.kind is Kind.OK
    # 2,000,001 rows x 16 numbers x 4 bytes are 122.1 MiB; a rank has 64 / 4 ids of a batch, each
    # with 4 bytes of its own, and an eighth more: 16 x 68 x 9 / 8 = 1,224 bytes.
    assert "2,000,001 rows of 16, 122.1 MiB and 122.1 MiB of moments" in remark.message
    assert remark.message.endswith("in an update, on 4 ranks")
    alone = tiny_recipe(tmp_path, "train.optimizer={kind: adagrad}", "train.ranks=1")
    (remark,) = predict_embeddings(alone, remote=False)
    assert "sends" not in remark.message
    assert remark.message.endswith(", on 1 rank")
    warned = tiny_recipe(tmp_path, "train.optimizer={kind: adam}", "train.ranks=2")
    (remark, *_) = predict_embeddings(warned, remote=False)
    assert remark.kind is Kind.SUSPECTED
    assert "adam moves every row in every step" in remark.message


def test_a_dataset_in_a_store_is_asked_on_request(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path, "dataset.path=s3://no-bucket/x")
    (remark,) = predict_embeddings(recipe, remote=False)
    assert (remark.kind, "--remote" in remark.message) == (Kind.UNCHECKED, True)
