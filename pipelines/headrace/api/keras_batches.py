"""Stream a split of a dataset version as a training on one rank does, for `model.fit`."""

from typing import TYPE_CHECKING

from headrace.errors import OptionError
from headrace.extras import require_extras
from headrace.lake.data_file import SplitName
from headrace.lake.version import DatasetVersion
from headrace.quiet import silence_imports
from headrace.recipe import sections as s

if TYPE_CHECKING:
    import tensorflow as tf

    from headrace.stream.split_stream import SplitStream


def stream_batches(
    version: DatasetVersion,
    split: SplitName,
    *,
    batch_size: int | None = None,
    first_epoch: int = 0,
    seed: int | None = None,
    shuffle: bool | None = None,
) -> "tf.data.Dataset":
    """Stream a split; see `Dataset.to_keras`."""
    require_extras(["train"])
    with silence_imports():
        from headrace.stream.dataset import make_fit_dataset

    stream = open_stream(version, split, batch_size=batch_size, seed=seed, shuffle=shuffle)
    return make_fit_dataset(stream, first_epoch)


def open_stream(
    version: DatasetVersion,
    split: SplitName,
    *,
    batch_size: int | None = None,
    seed: int | None = None,
    shuffle: bool | None = None,
) -> "SplitStream":
    """Open the stream of a split as the only rank of a training does.

    Args:
        version: the dataset version; its build's recipe has the settings.
        split: name of the split; weights of rows are read of `train` alone, as in a training.
        batch_size, seed, shuffle: in place of the recipe's.

    Raises:
        OptionError: the split has no rows, or the batch is no number of rows that it may have.
        StreamError: see `SplitStream.for_split`.
    """
    from headrace.stream.block_reader import check_engine
    from headrace.stream.columns import build_feature_columns, list_weight_columns
    from headrace.stream.split_stream import SplitStream
    from headrace.transform.spec import TransformSpec

    where = f"dataset {version.root} version {version.version}"
    if not version.count_rows(split):
        raise OptionError(f"{where} has no {split} rows; its splits are split.fractions' choice")
    recipe = version.build.recipe
    train = s.Train.model_validate(recipe.get("train", {}))
    settings = s.Stream.model_validate(recipe.get("stream", {}))
    rows = train.global_batch_size if batch_size is None else batch_size
    if rows < 1:
        raise OptionError(f"batch_size is {batch_size}, expected at least 1 row")
    check_engine(settings.engine)
    spec = TransformSpec.from_json(version.transform_json, where, version.text_files)
    of_weights = list_weight_columns(spec) if split == "train" else {}
    shards = settings.canonical_shards
    if shards and rows % shards:
        raise OptionError(
            f"batch_size is {rows}, and the dataset's recipe has stream.canonical_shards {shards}: "
            f"choose a multiple of {shards}"
        )
    return SplitStream.for_split(
        version,
        split,
        build_feature_columns(spec.with_loss(train.loss), of_weights),
        rank=0,
        size=1,
        global_batch_size=rows,
        canonical_shards=shards,
        shuffle=(settings.shuffle if shuffle is None else shuffle) and split == "train",
        seed=train.seed if seed is None else seed,
        readers=settings.readers,
        block_rows=settings.block_rows,
        memory=settings.memory,
        drop_last=split == "train" and settings.last_batch == "drop",
        engine=settings.engine,
    )
