"""Run Airflow in an environment of its own, as processes, and read its database."""

import json
import os
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

from tests.e2e.running import ROOT, Done

BIN = ROOT / "deploy/airflow/.venv/bin"
DAGS = ROOT / "deploy/airflow/dags"
# Everything is an error but what Airflow's own code warns of when it reads .airflowignore.
STRICT = ("-W", "error", "-W", "ignore:GitWildMatchPattern:DeprecationWarning")


def make_environment() -> None:
    """Install the locked environment; where it is installed already, this takes a second."""
    done = subprocess.run(
        [ROOT / "scripts/test-airflow.sh", "--environment"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


class AirflowHome:
    """A fresh AIRFLOW_HOME with SQLite, and folders for recipes and for what stages write."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.recipes, self.workdir = folder / "recipes", folder / "work"
        for created in (self.recipes, self.workdir):
            created.mkdir(parents=True)
        done = self.run_airflow("db", "migrate")
        assert done.code == 0, done.err

    def build_environment(self, **more: str) -> dict[str, str]:
        """Return the variables of a process: ours without those of other tools, and Airflow's."""
        foreign = ("AIRFLOW", "HEADRACE", "MLFLOW", "SPARK", "PYSPARK", "PYTHON", "VIRTUAL_ENV")
        return {
            **{key: value for key, value in os.environ.items() if not key.startswith(foreign)},
            "AIRFLOW_HOME": str(self.folder / "airflow"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW_CONN_SPARK_DEFAULT": json.dumps({"conn_type": "spark", "host": "local[2]"}),
            "HEADRACE_HOME": str(ROOT),
            "HEADRACE_RECIPES": str(self.recipes),
            "HEADRACE_WORKDIR": str(self.workdir),
            "SPARK_LOCAL_IP": "127.0.0.1",
            **more,
        }

    def run_airflow(self, *arguments: str, **environment: str) -> Done:
        return self._run_command([str(BIN / "airflow"), *arguments], environment)

    def run_python(self, code: str, *arguments: str, **environment: str) -> Done:
        return self._run_command(
            [str(BIN / "python"), *STRICT, "-c", code, *arguments], environment
        )

    def start_test(self, dag: str, date: str, log: Path) -> "subprocess.Popen[bytes]":
        """Start `airflow dags test`, with its output in a file."""
        with log.open("wb") as out:
            return subprocess.Popen(
                [BIN / "airflow", "dags", "test", dag, date],
                stdout=out, stderr=subprocess.STDOUT, env=self.build_environment(),
            )  # fmt: skip

    def read_tries(self, dag: str, date: str) -> dict[str, tuple[str, int]]:
        """Return state and number of tries of the tasks of a date's run."""
        rows = self._select_rows(
            "select task_id, t.state, t.try_number from task_instance t join dag_run r "
            "on r.dag_id = t.dag_id and r.run_id = t.run_id "
            "where r.dag_id = ? and r.logical_date like ?",
            dag, f"{date}%",
        )  # fmt: skip
        return {task: (state, number) for task, state, number in rows}

    def read_xcom(self, dag: str, date: str, task: str, key: str = "return_value") -> Any:
        """Return the XCom of a task of a date's run."""
        ((value,),) = self._select_rows(
            "select value from xcom x join dag_run r on r.id = x.dag_run_id "
            "where r.dag_id = ? and r.logical_date like ? and task_id = ? and key = ?",
            dag, f"{date}%", task, key,
        )  # fmt: skip
        return json.loads(value)

    def _select_rows(self, query: str, *values: str) -> list[Any]:
        with sqlite3.connect(self.folder / "airflow" / "airflow.db") as database:
            return database.execute(query, values).fetchall()

    def _run_command(self, command: list[str], environment: dict[str, str]) -> Done:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False,
            env=self.build_environment(**environment),
        )  # fmt: skip
        return Done(done.returncode, done.stdout, done.stderr)
