"""The DAGs of recipes as Airflow reads them, and how mistakes in recipes are reported."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.airflow_home import DAGS, AirflowHome, make_environment
from tests.s3 import s3_server
from tests.tiny import tiny_tree, write_tiny_lake

pytestmark = [pytest.mark.e2e, pytest.mark.long]
DATE = "2026-11-24"

READ = """
import json, sys
from airflow.dag_processing.dagbag import BundleDagBag
bag = BundleDagBag(dag_folder=sys.argv[1], bundle_path=sys.argv[1], bundle_name="dags-folder")
fields = ("retries", "pool", "trigger_rule", "path", "problems", "arguments", "overrides", "conf")
print(json.dumps({
    "errors": bag.import_errors,
    "warnings": bag.captured_warnings,
    "dags": {
        dag.dag_id: {
            "tags": sorted(dag.tags), "start": str(dag.start_date), "end": str(dag.end_date),
            "catchup": dag.catchup, "active": dag.max_active_runs,
            "timetable": [type(dag.timetable).__name__, dag.timetable.expression],
            "deadline": [alert.interval.total_seconds() for alert in dag.deadline or []],
            "tasks": {
                task.task_id: {
                    "type": type(task).__name__, "after": sorted(task.upstream_task_ids),
                    "minutes": task.execution_timeout and task.execution_timeout.total_seconds() / 60,
                    "delay": task.retry_delay.total_seconds() / 60, "timeout": getattr(task, "timeout", 0),
                    "at_once": task.max_active_tis_per_dag,
                    **{name: getattr(task, name) for name in fields if hasattr(task, name)},
                } for task in dag.tasks
            },
        } for dag in bag.dags.values()
    },
}))
"""  # noqa: E501

SCHEDULE = {
    "cron": "30 4 * * *",
    "start": "2026-11-01",
    "end": "2026-12-31",
    "timezone": "Europe/Berlin",
    "partitions": "day <= '{{ ds }}'",
    "wait_for": ["${workdir}/lake/visits/{{ ds }}", "s3://lake/{{ ds }}"],
    "wait_minutes": 30,
    "score": [
        {"input": "a", "output": "one"},
        {"input": "b", "output": "two"},
        {"input": "c", "output": "one"},
    ],
    "retries": 4,
    "retry_minutes": 7,
    "minutes": {"train": 11, "score": 13},
    "deadline_minutes": 90,
    "train_pool": "gpu",
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> AirflowHome:
    make_environment()
    home = AirflowHome(tmp_path_factory.mktemp("airflow"))
    write_recipe(home, "full", SCHEDULE)
    on_spark = write_recipe(home, "on spark", {"start": "2026-11-01"})
    tree = yaml.safe_load(on_spark.read_text())
    tree["train"]["launcher"] = {"kind": "spark"}
    on_spark.write_text(yaml.safe_dump(tree))
    write_recipe(home, "key", {"start": "2026-11-01", "crom": "@daily"})
    write_recipe(home, "cron", {"start": "2026-11-01", "cron": "61 * * * *"})
    write_recipe(home, "zone", {"start": "2026-11-01", "timezone": "Europe/Bonn"})
    write_recipe(home, "template", {"start": "2026-11-01", "partitions": "day <= '{{ ds }'"})
    write_recipe(home, "a twin", {"start": "2026-11-01"})
    write_recipe(home, "a_twin", {"start": "2026-11-01"})
    (home.recipes / "syntax.yaml").write_text("schedule: {start: 2026-11-01")
    (home.recipes / "unscheduled.yaml").write_text(yaml.safe_dump(tiny_tree()))
    return home


def write_recipe(home: AirflowHome, name: str, schedule: dict[str, Any]) -> Path:
    path = home.recipes / f"{name}.yaml"
    path.write_text(yaml.safe_dump(tiny_tree() | {"schedule": schedule}))
    return path


@pytest.fixture(scope="module")
def bag(home: AirflowHome) -> dict[str, Any]:
    done = home.run_python(READ, str(DAGS))
    assert done.code == 0, done.err
    return done.result


def test_reading_them_gives_no_error_and_no_warning(bag: dict[str, Any]) -> None:
    assert (bag["errors"], bag["warnings"]) == ({}, {})
    broken = {"key", "cron", "zone", "template", "syntax", "a_twin"}
    assert set(bag["dags"]) == {"full", "on_spark", *broken}


def test_a_dag_does_what_the_schedule_says(bag: dict[str, Any], home: AirflowHome) -> None:
    dag = bag["dags"]["full"]
    assert dag["tags"] == ["headrace"]
    assert dag["timetable"] == ["CronDataIntervalTimetable", "30 4 * * *"]
    assert (dag["start"], dag["end"]) == (  # midnight in Berlin
        "2026-10-31 23:00:00+00:00",
        "2026-12-30 23:00:00+00:00",
    )
    assert (dag["catchup"], dag["active"], dag["deadline"]) == (False, 1, [90 * 60])
    tasks = dag["tasks"]
    assert {name: task["after"] for name, task in tasks.items()} == {
        "wait_1": [],
        "wait_2": [],
        "prepare": ["wait_1", "wait_2"],
        "train": ["prepare"],
        "evaluate": ["train"],
        "verdict": ["evaluate"],
        "promote": ["verdict"],
        "keep_champion": ["verdict"],
        "score_1": ["keep_champion", "promote"],
        "score_2": ["keep_champion", "promote"],
        "score_3": ["score_1"],  # of one table with score_1
    }
    assert {(task["retries"], task["delay"], task["at_once"]) for task in tasks.values()} == {
        (4, 7, 1)
    }
    minutes = {name: task["minutes"] for name, task in tasks.items() if task["minutes"]}
    assert minutes == {
        "prepare": 240, "train": 11, "evaluate": 120, "promote": 30,
        "score_1": 13, "score_2": 13, "score_3": 13,
    }  # fmt: skip
    assert {name for name, task in tasks.items() if task["pool"] == "gpu"} == {"train", "evaluate"}
    assert {name: t["type"] for name, t in tasks.items() if t["type"].endswith("Stage")} == {
        "prepare": "SparkStage", "train": "CommandStage", "evaluate": "CommandStage",
        "promote": "CommandStage", **{f"score_{n}": "SparkStage" for n in (1, 2, 3)},
    }  # fmt: skip
    assert tasks["wait_1"]["path"] == f"{home.workdir}/lake/visits/{{{{ ds }}}}"
    assert tasks["wait_2"]["timeout"] == 30 * 60
    assert tasks["score_1"]["trigger_rule"] == "none_failed"
    overrides = {json.dumps(t["overrides"]) for t in tasks.values() if "overrides" in t}
    assert overrides == {'{"source.tables.visits.partitions": "day <= \'{{ ds }}\'"}'}


def test_ranks_on_spark_are_submitted(bag: dict[str, Any]) -> None:
    tasks = bag["dags"]["on_spark"]["tasks"]
    assert {name for name, task in tasks.items() if task["type"] == "SparkStage"} == {
        "prepare", "train", "evaluate",
    }  # fmt: skip
    assert tasks["prepare"]["conf"] == {
        "spark.log.level": "WARN",
        "spark.sql.shuffle.partitions": "4",
    }


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("key", "schedule.crom: unknown key, value '@daily' (did you mean cron?)"),
        ("cron", "schedule.cron: [61 * * * *] is not acceptable"),
        ("zone", "schedule.timezone: "),
        ("template", "schedule.partitions: "),
        ("syntax", "not valid YAML"),
        ("a_twin", "a twin.yaml and a_twin.yaml would make the same DAG; rename a file"),
    ],
)
def test_a_broken_recipe_is_a_dag_that_says_so(
    name: str, problem: str, bag: dict[str, Any], home: AirflowHome
) -> None:
    dag = bag["dags"][name]
    assert dag["tags"] == ["broken recipe", "headrace"]
    ((task_id, task),) = dag["tasks"].items()
    assert (task_id, task["type"], task["retries"]) == ("recipe", "BrokenRecipe", 0)
    assert f"recipe {home.recipes}/" in task["problems"]
    assert f"{name}.yaml" in task["problems"]
    assert problem in task["problems"]


def test_its_run_fails_with_the_reason(home: AirflowHome) -> None:
    done = home.run_airflow("dags", "test", "key", DATE)
    assert done.code != 0
    assert "schedule.crom: unknown key" in done.out + done.err
    assert home.read_tries("key", DATE) == {"recipe": ("failed", 1)}


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("HEADRACE_RECIPES", "there is no folder /nowhere"),
        ("HEADRACE_HOME", "/nowhere/.venv/bin/python"),
    ],
)
def test_nothing_to_read_is_an_import_error(setting: str, message: str, home: AirflowHome) -> None:
    done = home.run_python(READ, str(DAGS), **{setting: "/nowhere"})
    assert done.code == 0, done.err
    assert list(done.result["errors"]) == ["headrace_dags.py"]
    assert message in done.result["errors"]["headrace_dags.py"]


def test_exit_code_2_is_not_tried_again(home: AirflowHome) -> None:
    """An empty template makes a bad option, which spark-submit passes on as exit code 2."""
    write_tiny_lake(home.workdir / "lake")
    path = write_recipe(home, "nothing", {"start": "2026-11-01", "partitions": "{{ ds[:0] }}"})
    done = home.run_airflow("dags", "test", "nothing", DATE)
    path.unlink()
    assert done.code != 0
    assert "source.tables.visits.partitions" in done.out + done.err
    tries = home.read_tries("nothing", DATE)
    assert tries["prepare"] == ("failed", 1)
    assert {state for task, (state, _) in tries.items() if task != "prepare"} == {"upstream_failed"}


WAIT = """
import json, sys
from headrace_stages import ArrivalSensor
exist = [ArrivalSensor(task_id="wait", path=path).poke({}) for path in sys.argv[1:]]
print(json.dumps({"exist": exist}))
"""


def poke_sensors(home: AirflowHome, *paths: str, **environment: str) -> list[bool]:
    done = home.run_python(WAIT, *paths, PYTHONPATH=str(DAGS), **environment)
    assert done.code == 0, done.err
    return done.result["exist"]


def test_files_folders_and_objects_are_waited_for(home: AirflowHome, tmp_path: Path) -> None:
    folder = tmp_path / "visits"
    folder.mkdir()
    (folder / "_SUCCESS").touch()
    paths = (f"{folder}", f"file://{folder}/_SUCCESS", f"{folder}/day=2")
    assert poke_sensors(home, *paths) == [True, True, False]
    with s3_server(tmp_path) as s3:
        s3.files().pipe("lake/visits/day=1/_SUCCESS", b"")
        objects = ("s3://lake/visits/day=1/_SUCCESS", "s3a://lake/visits/day=1")
        assert poke_sensors(home, *objects, "s3://lake/visits/day=2", **s3.environment) == [
            True, True, False,
        ]  # fmt: skip


def test_a_store_without_its_provider_is_named(home: AirflowHome) -> None:
    done = home.run_python(WAIT, "gs://lake/visits", PYTHONPATH=str(DAGS))
    assert done.code == 1
    assert "AirflowFailException: gs://lake/visits: " in done.err
    assert "install the Airflow provider of this store" in done.err
