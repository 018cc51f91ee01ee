"""The facts about the recipes in a folder that Airflow gets."""

import json
import os
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.tiny import tiny_tree

DESCRIBE = Path(__file__).parents[2] / "deploy/airflow/dags/headrace_describe.py"


def run_describe(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", DESCRIBE, folder, folder / "w"],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip


def describe_tree(tree: dict[str, Any], folder: Path, **environment: str) -> dict[str, Any]:
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(tree))
    done = run_describe(folder, **environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)[str(path)]


def test_the_schedule_is_complete_and_its_variables_are_resolved(tmp_path: Path) -> None:
    tree = tiny_tree() | {"lake": "${env:ROOT}/lake"}
    tree["schedule"] = {
        "start": "2026-11-24",
        "partitions": "day <= '{{ ds }}'",
        "wait_for": ["${lake}/visits/day={{ ds }}/_SUCCESS"],
        "score": [{"input": "${lake}/visits", "output": "${workdir}/scores/{{ ds }}"}],
    }
    facts = describe_tree(tree, tmp_path, ROOT="s3://bucket")
    assert facts["main"] == "visits"
    assert facts["on_spark"] is False
    assert facts["schedule"] == {
        "cron": "@daily",
        "start": "2026-11-24",
        "end": None,
        "timezone": "UTC",
        "catchup": False,
        "partitions": "day <= '{{ ds }}'",
        "wait_for": ["s3://bucket/lake/visits/day={{ ds }}/_SUCCESS"],
        "wait_minutes": 720,
        "score": [
            {"input": "s3://bucket/lake/visits", "output": f"{tmp_path}/w/scores/{{{{ ds }}}}"}
        ],
        "retries": 2,
        "retry_minutes": 5,
        "minutes": {"prepare": 240, "train": 1440, "evaluate": 120, "promote": 30, "score": 240},
        "deadline_minutes": None,
        "train_pool": None,
    }


def test_ranks_on_spark_and_settings_that_are_no_secret(tmp_path: Path) -> None:
    tree = tiny_tree() | {"schedule": {"start": "2026-11-24"}}
    tree["train"]["launcher"] = {"kind": "spark"}
    tree["spark"]["conf"] = {
        "spark.driver.memory": "8g",
        "spark.ui.enabled": False,
        "spark.sql.shuffle.partitions": 4,
        "spark.hadoop.fs.s3a.secret.key": "hunter2",
    }
    facts = describe_tree(tree, tmp_path)
    assert facts["on_spark"] is True
    assert facts["conf"] == {
        "spark.driver.memory": "8g",
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "4",
    }


def test_files_that_ask_for_no_dag_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "unscheduled.yaml").write_text(yaml.safe_dump(tiny_tree()))
    (tmp_path / "null.yaml").write_text(yaml.safe_dump(tiny_tree() | {"schedule": None}))
    (tmp_path / "broken.yaml").write_text("name: tiny\nsauce: {}\n")  # no recipe with a schedule
    (tmp_path / "list.yaml").write_text("[1, 2]\n")
    (tmp_path / "empty.yaml").write_text("")
    (tmp_path / "notes.txt").write_text("schedule: {")
    done = run_describe(tmp_path)
    assert (done.returncode, json.loads(done.stdout)) == (0, {})


def test_a_broken_recipe_is_told_with_its_file_and_keys(tmp_path: Path) -> None:
    tree = tiny_tree() | {"schedule": {"start": "2026-11-24", "crom": "@daily", "retries": -1}}
    (tmp_path / "keys.yaml").write_text(yaml.safe_dump(tree))
    (tmp_path / "syntax.yaml").write_text("schedule: {start: 2026-11-24")
    (tmp_path / "fine.yaml").write_text(
        yaml.safe_dump(tiny_tree() | {"schedule": {"start": "2026-11-24"}})
    )
    descriptions = json.loads(run_describe(tmp_path).stdout)
    assert [Path(path).name for path in descriptions] == ["fine.yaml", "keys.yaml", "syntax.yaml"]
    key_error = descriptions[str(tmp_path / "keys.yaml")]["error"]
    assert f"2 problems in recipe {tmp_path}/keys.yaml" in key_error
    assert "schedule.crom: unknown key, value '@daily' (did you mean cron?)" in key_error
    assert "schedule.retries: " in key_error
    syntax_error = descriptions[str(tmp_path / "syntax.yaml")]["error"]
    assert f"recipe {tmp_path}/syntax.yaml" in syntax_error
    assert "not valid YAML" in syntax_error
    assert "error" not in descriptions[str(tmp_path / "fine.yaml")]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    done = run_describe(tmp_path / "recipies")
    assert done.returncode == 1
    assert done.stderr == f"there is no folder {tmp_path}/recipies\n"


def test_one_recipe_cannot_harm_another(tmp_path: Path) -> None:
    """Each of these took down the DAGs of all, or never ended."""
    good = tiny_tree() | {"schedule": {"cron": "@daily", "start": "2026-01-01"}}
    (tmp_path / "good.yaml").write_text(yaml.safe_dump(good))
    (tmp_path / "digits.yaml").write_text("schedule: {}\nname: " + "1" * 5001)
    (tmp_path / "deep.yaml").write_text("a: " + "[" * 2000)
    (tmp_path / "bomb.yaml").write_text(
        "a: &a [x,x,x,x,x,x,x,x,x]\n"
        + "".join(f"{b}: &{b} [{','.join(['*' + a] * 9)}]\n" for a, b in pairwise("abcdefghi"))
    )  # fmt: skip
    (tmp_path / "large.yaml").write_bytes(b"x" * 2**23)
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "gone.yaml").symlink_to(tmp_path / "nowhere")
    (tmp_path / "no_text.yaml").write_bytes(b"\xff\xfe\x00")
    began = time.monotonic()
    done = run_describe(tmp_path)
    assert time.monotonic() - began < 25, "Airflow's limit for all of them"
    descriptions = json.loads(done.stdout)
    assert descriptions.pop(str(tmp_path / "good.yaml"))["main"] == "visits"
    assert len(descriptions) == 7
    assert all(set(facts) == {"error"} for facts in descriptions.values())


def test_a_recipe_that_takes_too_long_or_too_much_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(DESCRIBE.parent))
    import headrace_describe

    monkeypatch.setattr(headrace_describe, "CPU_SECONDS", 1)
    monkeypatch.setattr(headrace_describe, "BUDGET_SECONDS", 8.0)

    def describe(path: str) -> dict[str, Any]:
        while path == "slow":
            pass
        if path == "asleep":
            time.sleep(60)
        return {"main": path, "rest": "x" * (2**34 if path == "large" else 1)}

    done = headrace_describe._describe_each(["slow", "large", "a", "b", "asleep", "c"], describe)
    assert {path: facts["main"] for path, facts in done.items() if "main" in facts} == {
        "a": "a", "b": "b", "c": "c",
    }  # fmt: skip
    assert "within 1 s of processor time" in done["slow"]["error"]
    assert "MemoryError" in done["large"]["error"]
    assert "asleep" not in done  # read again the next time


def test_a_recipe_is_described_once_per_change(tmp_path: Path) -> None:
    tree = tiny_tree() | {"schedule": {"cron": "@daily", "start": "2026-01-01"}}
    tree["name"] = "${env:PLACE}"
    for number in range(3):
        (tmp_path / f"r{number}.yaml").write_text(yaml.safe_dump(tree))
    first = run_describe(tmp_path, PLACE="here")
    cache = tmp_path / "w/airflow/descriptions.json"
    assert cache.stat().st_mode & 0o077 == 0
    # Nothing of Headrace is imported where nothing changed: a broken one would be noticed.
    entries = json.loads(cache.read_text())
    entries[str(tmp_path / "r0.yaml")]["facts"]["main"] = "kept"
    cache.write_text(json.dumps(entries))
    again = json.loads(run_describe(tmp_path, PLACE="here").stdout)
    assert again[str(tmp_path / "r0.yaml")]["main"] == "kept"
    assert json.loads(first.stdout).keys() == again.keys()
    # What it depends on: its text, the environment.
    (tmp_path / "r1.yaml").write_text(yaml.safe_dump(tree | {"schedule": None}))
    changed = json.loads(run_describe(tmp_path, PLACE="here").stdout)
    assert changed.keys() == {str(tmp_path / f"r{n}.yaml") for n in (0, 2)}
    assert changed[str(tmp_path / "r0.yaml")]["main"] == "kept"
    elsewhere = json.loads(run_describe(tmp_path, PLACE="there").stdout)
    assert elsewhere[str(tmp_path / "r0.yaml")]["main"] == "visits"
    cache.write_text("damaged")
    assert json.loads(run_describe(tmp_path, PLACE="there").stdout) == elsewhere
