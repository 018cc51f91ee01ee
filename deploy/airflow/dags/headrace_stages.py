"""Define the operators of the DAGs: a stage of the pipeline, a wait for input, a broken recipe.

Headrace runs in an environment of its own, as a process. Its exit code says whether a retry makes
sense (1 and signals), makes none (2, a bad recipe), or nothing is broken and a gate failed (3). Its
result, one JSON object, becomes the task's XCom.
"""

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk import BaseOperator, BaseOperatorLink, BaseSensorOperator, ObjectStoragePath
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

BAD_RECIPE, FAILED_GATE = 2, 3
# Seconds between SIGTERM and SIGKILL for a stage that has timed out: a training writes a checkpoint
# after the step in progress.
GRACE = 120


class MlflowRun(BaseOperatorLink):
    """A link from a task to its MLflow run, where MLflow is served over HTTP."""

    name = "MLflow run"

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
        """Return the page of the run; Airflow calls it in the task's process when it has ended."""
        return getattr(operator, "mlflow_page", "")


class Stage(BaseOperator):
    """Base of the operators that run a stage: arguments in, exit code and result out."""

    mlflow_page = ""
    operator_extra_links = (MlflowRun(),)

    def __init__(
        self,
        *,
        home: str,
        command: str,
        arguments: list[str],
        overrides: dict[str, str],
        on_failed_gate: Literal["succeed", "skip", "fail"] = "fail",
        **settings: Any,
    ) -> None:
        """
        Args:
            home: the project's folder; working directory of the stage.
            command: of `headrace`.
            arguments: of the command, templated.
            overrides: key of the recipe -> value, templated.
            on_failed_gate: what becomes of the task at exit code 3.
            settings: of the operator.
        """
        super().__init__(**settings)
        self.home, self.command = home, command
        self.arguments, self.overrides = arguments, overrides
        self.on_failed_gate = on_failed_gate

    def build_arguments(self) -> list[str]:
        """Return the arguments with overrides, as JSON: YAML that no value can break."""
        arguments = [*self.arguments, "--json"]
        for key, value in self.overrides.items():
            arguments += ["--set", f"{key}={json.dumps(value, ensure_ascii=False)}"]
        return arguments

    def conclude_stage(self, code: int, result: dict[str, Any] | None) -> dict[str, Any]:
        """Return the result of a stage that ended with `code`, or raise for Airflow.

        Raises:
            AirflowFailException: a retry would not help.
            AirflowSkipException: a gate failed, and the task is not needed then.
            AirflowException: a retry may help.
        """
        result = result or {}
        run_id = result.get("run_id") or result.get("prepare_run_id")
        store = result.get("tracking_uri")
        if run_id and store:
            if store.startswith("http"):
                self.mlflow_page = f"{store.rstrip('/')}/#/runs/{run_id}"
            self.log.info("MLflow run %s", self.mlflow_page or f"{run_id} in {store}")
        if code == 0 or (code == FAILED_GATE and self.on_failed_gate == "succeed"):
            if not result:
                raise AirflowException(f"exit code {code}, and no result was printed")
            return result
        reason = result.get("error", {}).get("message") or f"exit code {code}"
        if code == FAILED_GATE and self.on_failed_gate == "skip":
            raise AirflowSkipException(reason)
        if code in (BAD_RECIPE, FAILED_GATE):
            raise AirflowFailException(reason)
        raise AirflowException(reason)


def parse_result(line: str) -> dict[str, Any] | None:
    """Return the result of a command, if `line` is it; None otherwise."""
    if line.startswith('{"'):
        with contextlib.suppress(ValueError):
            value = json.loads(line)
            if "command" in value and "ok" in value:
                return value
    return None


class CommandStage(Stage):
    """Runs `headrace COMMAND` as a process of this worker.

    Not Airflow's SubprocessHook, which mixes the result with standard error, and abandons a process
    that has timed out.
    """

    template_fields = ("arguments", "overrides")

    _process: "subprocess.Popen[str] | None" = None

    def execute(self, context: Any) -> dict[str, Any]:
        """Run the command to its end, and return its result."""
        command = [f"{self.home}/.venv/bin/headrace", self.command, *self.build_arguments()]
        self.log.info("Running %s", command)
        with tempfile.TemporaryFile("w+") as out:
            # A session of its own: a signal to the task's process group does not reach it.
            self._process = process = subprocess.Popen(
                command, cwd=self.home, stdout=out, stderr=subprocess.PIPE, text=True,
                errors="backslashreplace", start_new_session=True,
            )  # fmt: skip
            try:
                self._log_until_end(process)
            except BaseException:  # AirflowTaskTimeout is one
                process.terminate()
                killer = threading.Timer(GRACE, os.killpg, (process.pid, signal.SIGKILL))
                killer.start()
                self._log_until_end(process)
                killer.cancel()
                raise
            out.seek(0)
            lines = out.read().splitlines()
        return self.conclude_stage(process.returncode, parse_result(lines[-1]) if lines else None)

    def on_kill(self) -> None:
        """Terminate the stage: Airflow gives the task 5 seconds, the stage takes what it needs."""
        if self._process:
            self._process.terminate()

    def _log_until_end(self, process: "subprocess.Popen[str]") -> None:
        for line in process.stderr or ():
            self.log.info("%s", line.rstrip())
        process.wait()


class SparkStage(Stage, SparkSubmitOperator):
    """Runs `spark-submit jobs/COMMAND.py`, with the driver on this worker.

    In client mode spark-submit ends with the exit code of the Python program; in cluster mode that
    code and the result would stay on the cluster. SparkSubmitOperator drops both, so they are taken
    from its hook.
    """

    template_fields = (*SparkSubmitOperator.template_fields, "arguments", "overrides")

    _result: "dict[str, Any] | None" = None

    def __init__(self, *, home: str, command: str, **settings: Any) -> None:
        python = f"{home}/.venv/bin/python"
        super().__init__(
            home=home,
            command=command,
            application=f"{home}/jobs/{command}.py",
            spark_binary=f"{home}/.venv/bin/spark-submit",
            deploy_mode="client",
            env_vars={"PYSPARK_PYTHON": python, "PYSPARK_DRIVER_PYTHON": python},
            name=f"headrace {command}",
            **settings,
        )

    def execute(self, context: Any) -> dict[str, Any]:
        """Submit the job, and return its result."""
        self.application_args = self.build_arguments()
        code = 0
        with contextlib.chdir(self.home):
            try:
                super().execute(context)
            except AirflowException:
                process = self._hook and self._hook._submit_sp
                code = process.returncode if process else 0
                if not code:
                    raise
        return self.conclude_stage(code, self._result)

    def _get_hook(self) -> Any:
        hook = super()._get_hook()
        process_log = hook._process_spark_submit_log
        hook._process_spark_submit_log = lambda lines: process_log(self._catch_result(lines))
        return hook

    def _catch_result(self, lines: Iterator[str]) -> Iterator[str]:
        for line in lines:
            self._result = parse_result(line) or self._result
            yield line


class ArrivalSensor(BaseSensorOperator):
    """Waits for a file, a folder or the URL of an object, without occupying a worker."""

    template_fields: Sequence[str] = ("path",)

    def __init__(self, *, path: str, **settings: Any) -> None:
        super().__init__(mode="reschedule", poke_interval=60, **settings)
        self.path = path

    def poke(self, context: Any) -> bool:
        """Return whether the path exists.

        Raises:
            AirflowFailException: no Airflow provider is installed for its scheme.
        """
        try:
            exists = ObjectStoragePath(self.path).exists()
        except (ValueError, ImportError) as error:  # no such scheme
            raise AirflowFailException(
                f"{self.path}: {error}; install the Airflow provider of this store"
            ) from error
        self.log.info("%s %s", self.path, "exists" if exists else "does not exist yet")
        return exists


class BrokenRecipe(BaseOperator):
    """Fails with the problems of a recipe that cannot run."""

    def __init__(self, *, problems: str, **settings: Any) -> None:
        super().__init__(**settings)
        self.problems = problems

    def execute(self, context: Any) -> None:
        """Fail the task without a retry."""
        raise AirflowFailException(self.problems)
