"""`headrace doctor` on this machine, and with one thing broken."""

from pathlib import Path

import pytest
import yaml

from tests.e2e.running import headrace
from tests.tiny import tiny_tree, write_tiny_lake

pytestmark = pytest.mark.e2e


def test_a_machine_that_is_well_and_a_table_that_is_gone(tmp_path: Path) -> None:
    tree = tiny_tree()
    write_tiny_lake(tmp_path / "lake")
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(tree))
    command = ["doctor", str(tmp_path / "tiny.yaml"), "--workdir", str(tmp_path), "--json"]
    done = headrace(*command)
    assert done.code == 0, done.err
    states = {finding["name"]: finding["state"] for finding in done.result["findings"]}
    names = "python java spark tensorflow horovod stream dataset mlflow"
    for engine in names.split():
        assert states[engine] == "ok", done.err
    (tmp_path / "lake/shops").rename(tmp_path / "lake/moved")
    broken = headrace(*command, JAVA_HOME=str(tmp_path))
    assert broken.code == 1
    bad = {f["name"]: f for f in broken.result["findings"] if f["state"] == "fail"}
    assert set(bad) == {"java", "spark", "table shops"}
    assert all(finding["fix"] for finding in bad.values())
    assert "has no bin/java" in broken.err
