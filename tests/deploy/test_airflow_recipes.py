"""The facts about the recipes in a folder that Airflow gets."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.tiny import tiny_tree

DESCRIBE = Path(__file__).parents[2] / "deploy/airflow/dags/headrace_describe.py"


def run_describe(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", DESCRIBE, folder, "/w"],
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
        "score": [{"input": "s3://bucket/lake/visits", "output": "/w/scores/{{ ds }}"}],
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
