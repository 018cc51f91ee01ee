"""A recipe with other values, as a file again."""

from pathlib import Path

from headrace.recipe import load_recipe
from headrace.recipe.rewrite import format_overrides, write_recipe
from tests.tiny import tiny_tree


def test_values_are_others_and_variables_stay(tmp_path: Path) -> None:
    import yaml

    tree = tiny_tree()
    tree["dataset"]["path"] = "${workdir}/elsewhere"
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(tree))
    words = format_overrides({"model.hidden": [4, 2], "train.optimizer.learning_rate": 1e-05})
    text = (tmp_path / "a.yaml").read_text()
    written = write_recipe(text, words, str(tmp_path / "new" / "b.yaml"))
    assert written["dataset"]["path"] == "${workdir}/elsewhere"
    assert (tmp_path / "new" / "b.yaml").stat().st_mode & 0o077 == 0
    found = load_recipe(str(tmp_path / "new" / "b.yaml"), workdir="/w", environment={})
    assert found.model.hidden == [4, 2]
    assert found.train.optimizer.learning_rate == 1e-05
    assert found.dataset.path == "/w/elsewhere"
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["b.yaml"]
