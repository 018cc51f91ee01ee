"""What was proposed is not only a recipe that loads: Spark makes a dataset of it."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from headrace.errors import LakeError
from headrace.prepare import prepare
from headrace.progress import silent
from headrace.propose.option_error import OptionError
from headrace.recipe import load_recipe
from tests.propose.tables import drafted, written
from tests.propose.test_draft import column
from tests.propose.test_names import NASTY

pytestmark = pytest.mark.spark

ROWS = 1_200
KINDS = ["integer", "real", "text", "flag", "time", "list", "null", "constant"]


def random_table(seed: int) -> pa.Table:
    """Columns of every kind, under names that nobody should choose."""
    rng = np.random.default_rng(seed)
    names = rng.permutation(NASTY)[: 2 * len(KINDS)].tolist()
    kinds = [*KINDS, *rng.choice(KINDS[:6], len(KINDS))]
    return pa.table({n: column(k, ROWS, rng) for n, k in zip(names, kinds, strict=True)})


@pytest.mark.usefixtures("spark")
@pytest.mark.parametrize("seed", range(4))
def test_spark_makes_a_dataset_of_any_proposal(seed: int, tmp_path: Path) -> None:
    table = random_table(seed)
    path = written(tmp_path / "table", table)
    drafts = []
    for label in table.column_names:
        try:
            drafts.append(drafted(path, label, workdir=str(tmp_path)))
        except (LakeError, OptionError):
            continue
    assert drafts
    draft = drafts[seed % len(drafts)]
    (tmp_path / "r.yaml").write_text(draft.text, encoding="utf-8")
    recipe = load_recipe(str(tmp_path / "r.yaml"), workdir=str(tmp_path), environment={})
    dataset = prepare(recipe, workdir=str(tmp_path), report=silent).dataset
    ledger = dataset.build.ledger
    assert ledger.read == ledger.accounted == ROWS
    assert min(ledger.published.values()) > 0
    assert sum(ledger.quarantined.values()) == 0
