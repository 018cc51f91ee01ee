"""The recipe lines of the questions train: each is run on its lake, for two epochs."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from headrace.recipe.parse import parse_yaml
from tests.docs.pages import complete_recipe, list_blocks, name_block
from tests.e2e.running import BIN, run

pytestmark = [pytest.mark.e2e, pytest.mark.long]

PAGES = ("docs/faq.md", "docs/how-to/images.md")
GATE_FAILED = 3
"""Two epochs need not be enough for a gate; that one was judged shows that the lines are whole."""
# A month of flights, which is what two cores train on in seconds.
SMALLER = {"flights": ["--set", "source.tables.flights.partitions=month = 1"]}


@pytest.fixture(scope="module")
def workdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the lakes of the recipes, once."""
    folder = tmp_path_factory.mktemp("answers")
    for lake in ("flights", "digits"):
        done = run(str(BIN / "headrace"), "lake", lake, "--out", str(folder / "lake" / lake))
        assert done.code == 0, done.err
    return folder


@pytest.mark.parametrize(
    "block", [block for block in list_blocks("yaml") if block.page in PAGES], ids=name_block
)
def test_the_lines_train(block: Any, workdir: Path, tmp_path: Path) -> None:
    tree = complete_recipe(block)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(tree, sort_keys=False))
    options = [
        *("--workdir", str(workdir)),
        *("--set", "train.epochs=2", "--set", "train.ranks=1"),
        *SMALLER.get(tree["name"], []),
    ]
    commands = [["run", str(recipe), *options]]
    if "tune" in parse_yaml(block.text):
        commands = [["prepare", str(recipe), *options], ["tune", str(recipe), *options]]
        commands[1] += ["--trials", "2"]
    for words in commands:
        done = run(str(BIN / "headrace"), *words)
        assert done.code in (0, GATE_FAILED), done.err[-4000:]
