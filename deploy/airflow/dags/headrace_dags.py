"""One Airflow DAG for each recipe that says when it runs: `*.yaml` with a `schedule` section.

    wait for its input → prepare → train → evaluate → verdict → promote       → score each table
                                                              → keep_champion →

A DAG is called as its file is. The environment says where things are: HEADRACE_HOME (the project,
with its .venv), HEADRACE_RECIPES (the folder, HEADRACE_HOME/conf by default) and HEADRACE_WORKDIR
(HEADRACE_HOME/var by default). What a task does is in `headrace_stages.py`.

A recipe that is broken makes a DAG too, under the same name, of one task that fails every day
with the reason. An import error would be the usual way to tell; but Airflow takes every DAG of a
file that has one off the schedule, and the file of all these DAGs is this one. Recipes cannot be
files of DAGs themselves: Airflow 3.3 has no setting for importers of other kinds of files.
"""

import json
import logging
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import BranchPythonOperator
from airflow.sdk import (
    DAG,
    CronDataIntervalTimetable,
    DeadlineAlert,
    DeadlineReference,
    SyncCallback,
    TriggerRule,
    chain,
)
from headrace_stages import Arrived, Broken, CommandStage, SparkStage, Stage

HOME = Path(os.environ.get("HEADRACE_HOME") or Path(__file__).resolve().parents[3])
RECIPES = HOME / os.environ.get("HEADRACE_RECIPES", "conf")
WORKDIR = HOME / os.environ.get("HEADRACE_WORKDIR", "var")
# Callable that is told of missed deadlines, as `module.name`, for example of a notifier.
ON_DEADLINE = os.environ.get("HEADRACE_ON_DEADLINE")

# The same for every try of a run, so that it publishes once; another one where a person clears the
# run, because then the lake may be another.
BUILD_ID = "{{ dag.dag_id }}/{{ run_id }}/{{ dag_run.clear_number }}"
# When a recipe that is broken says so.
DAILY: dict[str, Any] = {
    "cron": "@daily", "start": "2000-01-01", "end": None, "timezone": "UTC", "catchup": False,
    "retries": 0, "retry_minutes": 1,
}  # fmt: skip


def deadline_missed(context: dict[str, Any]) -> None:
    """Called by Airflow, with the run and its deadline."""
    run, deadline = context["dag_run"], context["deadline"]
    logging.getLogger(__name__).error(
        "%s: run %s was to be done by %s and is %s",
        run["dag_id"], run["dag_run_id"], deadline["deadline_time"], run["state"],
    )  # fmt: skip


def dag_of(path: Path, facts: dict[str, Any]) -> DAG:
    """The DAG of a recipe.

    Args:
        path: of the recipe.
        facts: what `headrace_describe.py` says of it.
    """
    schedule = facts["schedule"]
    with _empty_dag(path, schedule, _deadline(schedule)) as dag:
        _check_templates(dag, schedule)
        waits = [
            Arrived(
                task_id=f"wait_{number}",
                place=place,
                timeout=schedule["wait_minutes"] * 60,
                doc=place,
            )
            for number, place in enumerate(schedule["wait_for"], 1)
        ]
        stages = _Stages(path, facts)
        prepare = stages.task("prepare", ["--build-id", BUILD_ID], on_spark=True)
        version = "{{ ti.xcom_pull(task_ids='prepare')['dataset']['version'] }}"
        train = stages.task(
            "train",
            ["--dataset-version", version],
            on_spark=facts["on_spark"],
            pool=schedule["train_pool"],
        )
        evaluate = stages.task(
            "evaluate",
            ["--model", "{{ ti.xcom_pull(task_ids='train')['model_uri'] }}"],
            on_spark=facts["on_spark"],
            pool=schedule["train_pool"],
            on_failed_gate="succeed",
        )
        verdict = BranchPythonOperator(
            task_id="verdict",
            python_callable=lambda judged: "promote" if judged["ok"] else "keep_champion",
            op_args=[evaluate.output],
        )
        promote = stages.task(
            "promote",
            ["--model", "{{ ti.xcom_pull(task_ids='evaluate')['model_uri'] }}"],
            on_failed_gate="skip",
        )
        keep = EmptyOperator(task_id="keep_champion")
        for wait in waits:
            chain(wait, prepare)
        chain(prepare, train, evaluate, verdict, [promote, keep])
        last_of: dict[str, Any] = {}  # tasks that write to one table follow each other
        for number, table in enumerate(schedule["score"], 1):
            score = stages.task(
                "score",
                [
                    *("--input", table["input"], "--output", table["output"]),
                    *("--build-id", f"{BUILD_ID}/{number}"),
                ],
                task_id=f"score_{number}",
                on_spark=True,
                trigger_rule=TriggerRule.NONE_FAILED,
                doc=f"{table['input']} → {table['output']}",
            )
            chain(last_of.get(table["output"], [promote, keep]), score)
            last_of[table["output"]] = score
    return dag


class _Stages:
    """Makes the tasks of one recipe's stages."""

    def __init__(self, path: Path, facts: dict[str, Any]) -> None:
        self._common = [str(path), "--workdir", str(WORKDIR)]
        self._minutes = facts["schedule"]["minutes"]
        self._conf = {"spark.log.level": "WARN"} | facts["conf"]
        partitions = facts["schedule"]["partitions"]
        key = f"source.tables.{facts['main']}.partitions"
        self._overrides = {key: partitions} if partitions else {}

    def task(
        self, command: str, arguments: list[str], *, on_spark: bool = False, **settings: Any
    ) -> Stage:
        if on_spark:
            settings["conf"] = self._conf
        return (SparkStage if on_spark else CommandStage)(
            home=str(HOME),
            command=command,
            arguments=[*self._common, *arguments],
            overrides=self._overrides,
            execution_timeout=timedelta(minutes=self._minutes[command]),
            **{"task_id": command, **settings},
        )


def broken_dag(path: Path, problems: str) -> DAG:
    """A DAG that says what is wrong with a recipe."""
    with _empty_dag(path, DAILY, None, "broken recipe") as dag:
        Broken(task_id="recipe", problems=problems)
    return dag


def _empty_dag(
    path: Path, schedule: dict[str, Any], deadline: DeadlineAlert | None, *tags: str
) -> DAG:
    with _about("schedule.timezone"):
        zone = ZoneInfo(schedule["timezone"])
    with _about("schedule.cron"):
        # The run of 2026-11-24 begins when that day is over, whatever Airflow's setting
        # `create_cron_data_intervals` is: its date names the rows it is for.
        timetable = CronDataIntervalTimetable(schedule["cron"], timezone=schedule["timezone"])
        timetable.validate()
    start, end = (
        datetime.fromisoformat(schedule[key]).replace(tzinfo=zone) if schedule[key] else None
        for key in ("start", "end")
    )
    return DAG(
        _dag_id(path),
        auto_register=False,  # not before it is complete
        schedule=timetable,
        start_date=start,
        end_date=end,
        catchup=schedule["catchup"],
        max_active_runs=1,
        deadline=deadline,
        tags=["headrace", *tags],
        doc_md=f"Recipe `{path}`",
        default_args={
            "retries": schedule["retries"],
            "retry_delay": timedelta(minutes=schedule["retry_minutes"]),
            # A backfill is not bound by max_active_runs.
            "max_active_tis_per_dag": 1,
        },
    )


def _dag_id(path: Path) -> str:
    return re.sub(r"[^\w.-]", "_", path.stem)


def _deadline(schedule: dict[str, Any]) -> DeadlineAlert | None:
    minutes = schedule["deadline_minutes"]
    if minutes is None:
        return None
    return DeadlineAlert(
        # Not the logical date: a backfill would miss its deadlines before it begins.
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=timedelta(minutes=minutes),
        callback=SyncCallback(ON_DEADLINE or deadline_missed),
    )


def _check_templates(dag: DAG, schedule: dict[str, Any]) -> None:
    templates = {"partitions": schedule["partitions"] or ""}
    templates |= {f"wait_for.{n}": place for n, place in enumerate(schedule["wait_for"])}
    for number, table in enumerate(schedule["score"]):
        templates |= {f"score.{number}.{key}": text for key, text in table.items()}
    for key, text in templates.items():
        with _about(f"schedule.{key}"):
            dag.get_template_env().parse(text)


@contextmanager
def _about(key: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise ValueError(f"{key}: {error}") from error


def described() -> dict[Path, dict[str, Any]]:
    """What `headrace_describe.py` says of every recipe with a schedule."""
    python = HOME / ".venv/bin/python"
    if not python.exists():
        raise RuntimeError(f"HEADRACE_HOME={HOME}: there is no {python}; run `make setup` there")
    done = subprocess.run(
        # -P: a folder of DAGs may have anything beside it, a headrace.py too
        [python, "-P", Path(__file__).with_name("headrace_describe.py"), RECIPES, WORKDIR],
        cwd=HOME, capture_output=True, text=True, check=False, timeout=25,
    )  # fmt: skip
    if done.returncode != 0:
        raise RuntimeError(f"HEADRACE_RECIPES={RECIPES}: {done.stderr.strip()}")
    return {Path(path): facts for path, facts in json.loads(done.stdout).items()}


def dags() -> Iterator[tuple[Path, DAG]]:
    """A DAG for each recipe, and the recipe's path."""
    found = described()
    for path, facts in found.items():
        same = [other for other in found if _dag_id(other) == _dag_id(path)]
        if path != same[0]:
            continue
        try:
            if len(same) > 1:
                names = " and ".join(other.name for other in same)
                raise ValueError(f"{names} would make one DAG; rename a file")
            yield (
                path,
                broken_dag(path, facts["error"]) if "error" in facts else dag_of(path, facts),
            )
        except Exception as error:  # whatever it is, the other recipes are to run
            yield path, broken_dag(path, f"recipe {path}: {error}")


globals().update({f"DAG of {path}": dag for path, dag in dags()})
