"""Build an Airflow DAG for each recipe that has a schedule: `*.yaml` with a `schedule` section.

    wait for its input → prepare → train → evaluate → verdict → promote       → score each table
                                                              → keep_champion →

A DAG has the name of its recipe's file. Environment variables say where things are: HEADRACE_HOME
(the project, with its .venv), HEADRACE_RECIPES (the folder of recipes, by default
HEADRACE_HOME/conf) and HEADRACE_WORKDIR (by default HEADRACE_HOME/var). What a task does is in
`headrace_stages.py`.

A broken recipe gets a DAG too, under the same name, with one task that fails every day and gives
the reason. An import error would be the usual way to report it; but Airflow unschedules every DAG
of a file with an import error, and all these DAGs come from this file. Recipes cannot be DAG files
themselves: Airflow 3.3 has no setting for importers of other kinds of files.
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
from headrace_stages import ArrivalSensor, BrokenRecipe, CommandStage, SparkStage, Stage

HOME = Path(os.environ.get("HEADRACE_HOME") or Path(__file__).resolve().parents[3])
RECIPES = HOME / os.environ.get("HEADRACE_RECIPES", "conf")
WORKDIR = HOME / os.environ.get("HEADRACE_WORKDIR", "var")
# Callable for missed deadlines, as `module.name`, for example a notifier.
ON_DEADLINE = os.environ.get("HEADRACE_ON_DEADLINE")

# The same for every try of a run, so that the run publishes only once; a new one when a person
# clears the run, because the lake may have changed by then.
BUILD_ID = "{{ dag.dag_id }}/{{ run_id }}/{{ dag_run.clear_number }}"
# When the DAG of a broken recipe runs.
DAILY: dict[str, Any] = {
    "cron": "@daily", "start": "2000-01-01", "end": None, "timezone": "UTC", "catchup": False,
    "retries": 0, "retry_minutes": 1,
}  # fmt: skip


def deadline_missed(context: dict[str, Any]) -> None:
    """Log that a run has missed its deadline; Airflow calls it with both in `context`."""
    run, deadline = context["dag_run"], context["deadline"]
    logging.getLogger(__name__).error(
        "%s: run %s was due by %s and is %s",
        run["dag_id"], run["dag_run_id"], deadline["deadline_time"], run["state"],
    )  # fmt: skip


def build_dag(path: Path, facts: dict[str, Any]) -> DAG:
    """Return the DAG of a recipe.

    Args:
        path: of the recipe.
        facts: what `headrace_describe.py` printed about it.

    Raises:
        ValueError: a key of the schedule is wrong; names the key.
    """
    schedule = facts["schedule"]
    with _build_empty_dag(path, schedule, _build_deadline(schedule)) as dag:
        _check_templates(dag, schedule)
        waits = [
            ArrivalSensor(
                task_id=f"wait_{number}",
                path=input_path,
                timeout=schedule["wait_minutes"] * 60,
                doc=input_path,
            )
            for number, input_path in enumerate(schedule["wait_for"], 1)
        ]
        builder = _StageBuilder(path, facts)
        prepare = builder.build_task("prepare", ["--build-id", BUILD_ID], on_spark=True)
        version = "{{ ti.xcom_pull(task_ids='prepare')['dataset']['version'] }}"
        train = builder.build_task(
            "train",
            ["--dataset-version", version],
            on_spark=facts["on_spark"],
            pool=schedule["train_pool"],
        )
        evaluate = builder.build_task(
            "evaluate",
            ["--model", "{{ ti.xcom_pull(task_ids='train')['model_uri'] }}"],
            on_spark=facts["on_spark"],
            pool=schedule["train_pool"],
            on_failed_gate="succeed",
        )
        verdict = BranchPythonOperator(
            task_id="verdict",
            python_callable=lambda result: "promote" if result["ok"] else "keep_champion",
            op_args=[evaluate.output],
        )
        promote = builder.build_task(
            "promote",
            ["--model", "{{ ti.xcom_pull(task_ids='evaluate')['model_uri'] }}"],
            on_failed_gate="skip",
        )
        keep_champion = EmptyOperator(task_id="keep_champion")
        for wait in waits:
            chain(wait, prepare)
        chain(prepare, train, evaluate, verdict, [promote, keep_champion])
        last_writers: dict[str, Any] = {}  # tasks that write to one table run one after the other
        for number, table in enumerate(schedule["score"], 1):
            score = builder.build_task(
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
            chain(last_writers.get(table["output"], [promote, keep_champion]), score)
            last_writers[table["output"]] = score
    return dag


class _StageBuilder:
    """Builds the tasks of one recipe's stages."""

    def __init__(self, path: Path, facts: dict[str, Any]) -> None:
        self._common_arguments = [str(path), "--workdir", str(WORKDIR)]
        self._minutes = facts["schedule"]["minutes"]
        self._conf = {"spark.log.level": "WARN"} | facts["conf"]
        partitions = facts["schedule"]["partitions"]
        key = f"source.tables.{facts['main']}.partitions"
        self._overrides = {key: partitions} if partitions else {}

    def build_task(
        self, command: str, arguments: list[str], *, on_spark: bool = False, **settings: Any
    ) -> Stage:
        """Return the task of a stage, for this worker or for spark-submit.

        Args:
            command: of `headrace`; also the task's id, unless `settings` has another.
            arguments: of the command after recipe and workdir, templated.
            on_spark: whether spark-submit runs it.
            settings: of the operator.
        """
        if on_spark:
            settings["conf"] = self._conf
        return (SparkStage if on_spark else CommandStage)(
            home=str(HOME),
            command=command,
            arguments=[*self._common_arguments, *arguments],
            overrides=self._overrides,
            execution_timeout=timedelta(minutes=self._minutes[command]),
            **{"task_id": command, **settings},
        )


def build_broken_dag(path: Path, problems: str) -> DAG:
    """Return a DAG that reports what is wrong with a recipe."""
    with _build_empty_dag(path, DAILY, None, "broken recipe") as dag:
        BrokenRecipe(task_id="recipe", problems=problems)
    return dag


def _build_empty_dag(
    path: Path, schedule: dict[str, Any], deadline: DeadlineAlert | None, *tags: str
) -> DAG:
    with _name_key("schedule.timezone"):
        zone = ZoneInfo(schedule["timezone"])
    with _name_key("schedule.cron"):
        # The run of 2026-11-24 starts when that day is over, whatever Airflow's setting
        # `create_cron_data_intervals` is: its date names the rows that it processes.
        timetable = CronDataIntervalTimetable(schedule["cron"], timezone=schedule["timezone"])
        timetable.validate()
    start, end = (
        datetime.fromisoformat(schedule[key]).replace(tzinfo=zone) if schedule[key] else None
        for key in ("start", "end")
    )
    return DAG(
        _make_dag_id(path),
        auto_register=False,  # only once it is complete
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
            # max_active_runs does not limit a backfill.
            "max_active_tis_per_dag": 1,
        },
    )


def _make_dag_id(path: Path) -> str:
    return re.sub(r"[^\w.-]", "_", path.stem)


def _build_deadline(schedule: dict[str, Any]) -> DeadlineAlert | None:
    minutes = schedule["deadline_minutes"]
    if minutes is None:
        return None
    return DeadlineAlert(
        # Not the logical date: a backfill would miss its deadlines before it starts.
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=timedelta(minutes=minutes),
        callback=SyncCallback(ON_DEADLINE or deadline_missed),
    )


def _check_templates(dag: DAG, schedule: dict[str, Any]) -> None:
    templates = {"partitions": schedule["partitions"] or ""}
    templates |= {f"wait_for.{number}": path for number, path in enumerate(schedule["wait_for"])}
    for number, table in enumerate(schedule["score"]):
        templates |= {f"score.{number}.{key}": text for key, text in table.items()}
    for key, text in templates.items():
        with _name_key(f"schedule.{key}"):
            dag.get_template_env().parse(text)


@contextmanager
def _name_key(key: str) -> Iterator[None]:
    """Put the key of a recipe before the message of what is raised about it."""
    try:
        yield
    except Exception as error:
        raise ValueError(f"{key}: {error}") from error


def describe_recipes() -> dict[Path, dict[str, Any]]:
    """Return what `headrace_describe.py` prints about every recipe with a schedule.

    Raises:
        RuntimeError: the project or the folder of recipes does not exist.
    """
    python = HOME / ".venv/bin/python"
    if not python.exists():
        raise RuntimeError(f"HEADRACE_HOME={HOME}: {python} does not exist; run `make setup` there")
    done = subprocess.run(
        # -P: anything may lie beside the DAGs, even a headrace.py
        [python, "-P", Path(__file__).with_name("headrace_describe.py"), RECIPES, WORKDIR],
        cwd=HOME, capture_output=True, text=True, check=False, timeout=25,
    )  # fmt: skip
    if done.returncode != 0:
        raise RuntimeError(f"HEADRACE_RECIPES={RECIPES}: {done.stderr.strip()}")
    return {Path(path): facts for path, facts in json.loads(done.stdout).items()}


def build_dags() -> Iterator[tuple[Path, DAG]]:
    """Return a DAG for each recipe, and the recipe's path."""
    descriptions = describe_recipes()
    for path, facts in descriptions.items():
        namesakes = [
            recipe for recipe in descriptions if _make_dag_id(recipe) == _make_dag_id(path)
        ]
        if path != namesakes[0]:
            continue
        try:
            if len(namesakes) > 1:
                names = " and ".join(recipe.name for recipe in namesakes)
                raise ValueError(f"{names} would make the same DAG; rename a file")
            if "error" in facts:
                yield path, build_broken_dag(path, facts["error"])
            else:
                yield path, build_dag(path, facts)
        except Exception as error:  # the other recipes are to run, whatever it is
            yield path, build_broken_dag(path, f"recipe {path}: {error}")


globals().update({f"DAG of {path}": dag for path, dag in build_dags()})
