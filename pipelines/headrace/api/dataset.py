"""A dataset version in a notebook: its rows as frames, tables and batches, and its statistics."""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from headrace.api.html import Report, format_section, format_table
from headrace.api.ledger import RowLedger
from headrace.api.names import check_names
from headrace.errors import OptionError
from headrace.lake.commit import SPLIT_COLUMN
from headrace.lake.data_file import SPLITS, SplitName
from headrace.lake.version import DatasetVersion

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    import tensorflow as tf

    from headrace.lake.data_statistics import DataStatistics

_QUANTILES = ("1%", "50%", "99%")


class Dataset:
    """A version of a dataset, as `headrace.open` returns it. It never changes."""

    def __init__(self, version: DatasetVersion) -> None:
        """
        Args:
            version: the version, opened.
        """
        self._version = version

    @property
    def path(self) -> str:
        """Return the dataset's folder or URL."""
        return self._version.root

    @property
    def name(self) -> str:
        """Return the name of the recipe that it was prepared by."""
        return str(self._version.build.recipe.get("name", ""))

    @property
    def version(self) -> int:
        """Return the number of the version."""
        return self._version.version

    @property
    def rows(self) -> dict[str, int]:
        """Return split -> number of rows."""
        return {split: self._version.count_rows(split) for split in SPLITS}

    @property
    def columns(self) -> dict[str, str]:
        """Return column -> type: rows as they were transformed, and raw values (`raw_…`) beside the
        test rows."""
        types = self._version.column_types
        return {name: kind for name, kind in types.items() if name != SPLIT_COLUMN}

    @property
    def ledger(self) -> RowLedger:
        """Return what became of every row that was read."""
        return RowLedger.model_validate(self._version.build.ledger.model_dump())

    def to_arrow(
        self, split: SplitName = "train", columns: Sequence[str] | None = None
    ) -> "pa.Table":
        """Read the rows of a split into an Arrow table, in the dataset's order.

        Args:
            split: `train`, `validation` or `test`.
            columns: those to read, in this order; by default all that the split has.

        Raises:
            OptionError: there is no such split or column, and the nearest one is named; or the
                dataset has no rows at all.
            DatasetError: a file is missing or cannot be read.
        """
        self._check_split(split)
        names = self._choose_columns(columns)
        files = self._version.list_files(split)
        if files:
            table = self._version.read_columns(split, names)
        elif self._version.build.files:  # of a split that has no rows
            table = self._version.read_file(self._version.build.files[0], names).slice(0, 0)
        else:
            raise OptionError(f"{self._where} has no rows in any split")
        if names is None:
            return table
        if missing := [name for name in names if name not in table.column_names]:
            raise OptionError(
                f"{self._where}: its {split} rows do not have {', '.join(missing)}; raw values are "
                "kept beside the test rows alone"
            )
        return table.select(names)  # pyarrow gives columns in the order of the file

    def to_pandas(
        self, split: SplitName = "train", columns: Sequence[str] | None = None
    ) -> "pd.DataFrame":
        """Read the rows of a split into a frame; see `to_arrow`."""
        return self.to_arrow(split, columns).to_pandas()

    def to_keras(
        self,
        split: SplitName = "train",
        batch_size: int | None = None,
        *,
        epoch: int = 0,
        seed: int | None = None,
        shuffle: bool | None = None,
    ) -> "tf.data.Dataset":
        """Stream a split as batches for `model.fit`: the same as a training on one rank reads.

        An element is (inputs, label, weight). Inputs are by name: `numeric` float32 (batch,
        numbers), `categorical` int32 (batch, ids), and by the feature's own name what has another
        shape. Weight is float32 (batch,): the row's sample weight, and 0 of the rows of zeros that
        fill the last batch. Each pass that is begun over it is the next epoch, with its order of
        rows, so that `fit(…, epochs=8)` reads epochs 0 to 7; a second `fit` goes on from there.

        Args:
            split: only `train` is shuffled.
            batch_size: rows of a batch; by default `train.global_batch_size` of the recipe that the
                dataset was prepared by, as all settings of `train` and `stream`.
            epoch: of the first pass.
            seed: of the order of rows; by default `train.seed`.
            shuffle: false for the dataset's order; by default `stream.shuffle`.

        Raises:
            OptionError: there is no such split, it has no rows, or the batch cannot be cut into the
                shards that the recipe sets.
            StreamError: an engine is not installed, or `stream.memory` is too little.
        """
        from headrace.api.keras_batches import stream_batches

        self._check_split(split)
        return stream_batches(
            self._version,
            split,
            batch_size=batch_size,
            first_epoch=epoch,
            seed=seed,
            shuffle=shuffle,
        )

    def describe(self) -> "pd.DataFrame":
        """Return statistics of each raw column, and of the label, over all splits.

        No rows are read. Columns of the frame, float64 but `values`: `values` (int64, how many),
        `missing` and `zeros` (shares), `mean`, `min`, `1%`, `50%`, `99%`, `max`, `distinct` (at
        least so many, where the version has more rows than are described exactly), `positive` (the
        share of a label that is a condition). Of times they are microseconds since 1970 (UTC). They
        are those of `headrace inspect`; a version of an older Headrace has quantiles that are taken
        from bins, and only what it counted.
        """
        import pandas as pd

        described = self._version.statistics
        rows = {} if described is None else _describe_columns(described)
        rows |= self._describe_distributions(only_label=described is not None)
        frame = pd.DataFrame.from_dict(rows, orient="index")
        frame.index.name = "column"
        return frame.astype({name: "float64" for name in frame.columns if name != "values"})

    def _describe_distributions(self, *, only_label: bool) -> dict[str, dict[str, Any]]:
        """Describe the dataset's columns by their bins; of newer versions a condition's alone."""
        from headrace.lake.compare import ColumnStatistics

        kind = self._version.build.label_kind
        rows: dict[str, dict[str, Any]] = {}
        for item in self._version.profile.distributions:
            found = ColumnStatistics.from_distribution(item, kind)
            if only_label and found.positive is None:
                continue
            quantiles = found.quantiles if len(found.quantiles) == len(_QUANTILES) else (None,) * 3
            rows[item.name] = {
                "values": found.values,
                "missing": found.missing,
                **dict(zip(_QUANTILES, quantiles, strict=True)),
                "positive": found.positive,
            }
        return rows

    def report(self) -> Report:
        """Return the data report of the version's build."""
        title = f"Data report of {self.name}, version {self.version}"
        return Report(title, self._version.read_text("report.html"))

    def __repr__(self) -> str:
        rows = ", ".join(f"{split} {count:,}" for split, count in self.rows.items())
        return f"Dataset({self.path!r}, version {self.version}: {rows} rows)"

    def _repr_html_(self) -> str:
        facts: list[tuple[str, object]] = [
            ("path", self.path),
            ("build", f"{self._version.build.build_id} of {self._version.build.created_at}"),
            ("columns", f"{len(self.columns):,}"),
        ]
        rows = [(f"rows, {split}", f"{count:,}") for split, count in self.rows.items()]
        title = f"Dataset {self.name}, version {self.version}"
        return format_section(title, format_table([*facts, *rows]))

    @cached_property
    def _where(self) -> str:
        return f"dataset {self.path} version {self.version}"

    def _check_split(self, split: str) -> None:
        check_names([split], SPLITS, "split", self._where)

    def _choose_columns(self, columns: Sequence[str] | None) -> list[str] | None:
        """Return the columns to read, None for all; one name is not taken for a list of letters."""
        if columns is None:
            return None
        names = [columns] if isinstance(columns, str) else list(columns)
        check_names(names, list(self.columns), "column", self._where)
        return names


def _describe_columns(described: "DataStatistics") -> dict[str, dict[str, Any]]:
    """Describe the raw columns of a version, and a label that is a number."""
    rows: dict[str, dict[str, Any]] = {}
    for column in described.columns:
        shown = [column.find_quantile(share) for share in (0.01, 0.5, 0.99)]
        values, zeros = column.value_count, column.zeros
        rows[column.name] = {
            "values": values,
            "missing": column.missing_count / column.row_count if column.row_count else None,
            "zeros": zeros / values if zeros else zeros,
            "mean": column.mean,
            "min": column.low,
            **{n: q.value if q else None for n, q in zip(_QUANTILES, shown, strict=True)},
            "max": column.high,
            "distinct": column.distinct.low if column.distinct else None,
        }
    return rows
